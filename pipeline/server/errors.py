"""What a request is refused with."""

import itertools
import json
from typing import Any

MAX_ECHO = 200  # characters of what was sent that an answer repeats
MAX_MESSAGE = 1000


class RequestError(Exception):
    """Answered as `{"error": message}`.

    Args:
        status: HTTP status code.
        message: What was found, what was expected and what to do.
        headers: That go with the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        super().__init__(shortened(message, MAX_MESSAGE))
        self.status = status
        self.headers = headers


def shortened(text: str, limit: int = MAX_ECHO) -> str:
    """A text that came from outside, cut off where it is long."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def echo(value: Any) -> str:
    """The beginning of a value's JSON; its end is not even written, however large or deep it is."""
    parts = itertools.islice(json.JSONEncoder().iterencode(value), MAX_ECHO + 1)  # none is empty
    return shortened("".join(shortened(part) for part in parts))


# TensorFlow's error codes as TensorFlow Serving answers them; anything else is a 500.
STATUS_OF_CODE = {1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 503, 9: 412, 10: 409, 11: 400, 12: 501, 14: 503}
