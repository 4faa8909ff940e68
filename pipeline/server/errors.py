"""The error that a request is refused with, and how much of the request its message repeats."""

import itertools
import json
from typing import Any

MAX_ECHO = 200  # characters of a request that an answer repeats
MAX_MESSAGE = 1000


class RequestError(Exception):
    """Answered as `{"error": message}`.

    Args:
        status: HTTP status code.
        message: What was found, what was expected and what to do.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        # Half a surrogate pair, which JSON can have in a name, cannot be sent back.
        super().__init__(shortened(message, MAX_MESSAGE).encode("utf-8", "replace").decode())
        self.status = status
        self.headers = headers


def shortened(text: str, limit: int = MAX_ECHO) -> str:
    """Returns a text from a client, cut off if it is long.

    Args:
        text: The text.
        limit: Number of characters to keep.
    """
    return text if len(text) <= limit else f"{text[:limit]}..."


def echo(value: Any) -> str:
    """Returns the beginning of a value's JSON. The rest is not encoded, so large or deep values cost little.

    Args:
        value: A JSON-serialisable value.
    """
    parts = itertools.islice(json.JSONEncoder().iterencode(value), MAX_ECHO + 1)  # no part is empty
    return shortened("".join(shortened(part) for part in parts))


# TensorFlow's error codes as TensorFlow Serving answers them; anything else is a 500.
STATUS_OF_CODE = {1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 503, 9: 412, 10: 409, 11: 400, 12: 501, 14: 503}
