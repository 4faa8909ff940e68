"""What a request is refused with."""


class RequestError(Exception):
    """Answered as `{"error": message}`.

    Args:
        status: HTTP status code.
        message: What was found, what was expected and what to do.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


# TensorFlow's error codes as TensorFlow Serving answers them; anything else is a 500.
STATUS_OF_CODE = {1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 503, 9: 412, 10: 409, 11: 400, 12: 501, 14: 503}
