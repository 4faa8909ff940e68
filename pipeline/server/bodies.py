"""Reads a request's body: never more than the limit, and decompressed if it is compressed."""

import asyncio
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from starlette.requests import Request

from pipeline.server import tensors
from pipeline.server.errors import RequestError, shortened

SMALL_BODY = 64 * 1024  # bytes that are parsed without leaving the event loop
GZIP = 16 + zlib.MAX_WBITS
PIECE = 4096  # bytes that are decompressed at once


class Hold(Protocol):
    """Counts the bytes that a request keeps, as `ModelServer.holding` describes."""

    def __call__(self, size: int, instead: bool = False) -> None:
        """Counts bytes before they are kept.

        Args:
            size: How many bytes.
            instead: Whether they take the place of all that the request has kept.

        Raises:
            RequestError: If all requests together hold too much (503).
        """


async def read_document(request: Request, limit: int, hold: Hold) -> tuple[dict[str, Any], bool]:
    """Reads the JSON object in a request's body.

    Args:
        request: The request.
        limit: Largest size of the body in bytes, both as received and decompressed.
        hold: Called with the number of bytes whenever some are kept.

    Returns:
        The object, and whether the body is so large that work on all of it would delay other requests.

    Raises:
        RequestError: If the body is too large (413), compressed in an unknown way (415) or not a JSON object (400).
    """
    compressed = _is_gzip(request.headers.get("content-encoding", ""))
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > limit):
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limit:
            raise _too_large(limit)
        hold(len(chunk))
        body += chunk
    if compressed:
        plain = await in_thread_if(len(body) > SMALL_BODY // 8, decompress, bytes(body), limit)
        hold(len(plain))
        body = plain
    large = len(body) > SMALL_BODY
    return await in_thread_if(large, tensors.parse, bytes(body)), large


def decompress(body: bytes, limit: int) -> bytes:
    """Decompresses a gzip body, all of its members.

    Args:
        body: The compressed bytes.
        limit: Largest decompressed size in bytes.

    Raises:
        RequestError: If the result is larger than the limit (413) or the body is incomplete (400).
    """
    plain, decompressor = bytearray(), None
    for start in range(0, len(body), PIECE):  # the end of each member copies what is left of its piece
        piece = body[start : start + PIECE]
        while piece:
            decompressor = decompressor or zlib.decompressobj(GZIP)
            try:
                plain += decompressor.decompress(piece, limit + 1 - len(plain))
            except zlib.error as error:
                reason = f"The request's body is not gzip, as its Content-Encoding says: {error}."
                raise RequestError(400, reason) from None
            if len(plain) > limit:
                raise _too_large(limit)
            piece = decompressor.unused_data
            if decompressor.eof:
                decompressor = None
    if decompressor:
        raise RequestError(400, "The request's body ends before its gzip data do. Send it whole.")
    return bytes(plain)


async def in_thread_if(large: bool, function: Callable, *args: Any) -> Any:
    """Calls a function, in a thread if it would delay other requests.

    Args:
        large: Whether to use a thread.
        function: The function.
        *args: Its arguments.

    Returns:
        The function's result.
    """
    return await asyncio.to_thread(function, *args) if large else function(*args)


def _is_gzip(encoding: str) -> bool:
    names = [name for part in encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    if names and names not in (["gzip"], ["x-gzip"]):
        raise RequestError(
            415,
            f"The Content-Encoding {shortened(encoding)!r} is not known; expected gzip or none.",
            {"Accept-Encoding": "gzip"},
        )
    return bool(names)


def _too_large(limit: int) -> RequestError:
    return RequestError(
        413,
        f"The request's body is larger than the {limit:,} bytes that are taken (--max-body-bytes). Send less at once.",
    )
