"""Reads lines of plain or gzip files, or of standard input."""

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

STANDARD_INPUT = "-"
GZIP_MAGIC = b"\x1f\x8b"


class InputError(Exception):
    """An input cannot be read: the message names it and says why."""


class LineReader:
    """The lines of an input without their newlines. The last line counts whether or not a newline ends it.

    Args:
        path: A file, plain or gzip (recognised by its first bytes), or "-" for standard input.

    Attributes:
        size: Size in bytes, as stored; None for standard input.

    Raises:
        InputError: While reading, if the input cannot be read or its gzip data are incomplete.
    """

    def __init__(self, path: str):
        self.path = path
        self.size = None if path == STANDARD_INPUT else Path(path).stat().st_size
        self._raw: BinaryIO | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            with self._open() as lines:
                for line in lines:
                    yield line.removesuffix(b"\n").removesuffix(b"\r")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{self.path} is not whole: its gzip data end or break early ({error}).") from error
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}.") from error

    @property
    def bytes_read(self) -> int:
        """How many of the `size` bytes have been read."""
        if self._raw is None or self.size is None:
            return 0
        return self.size if self._raw.closed else self._raw.tell()

    def _open(self) -> BinaryIO:
        self._raw = sys.stdin.buffer if self.path == STANDARD_INPUT else open(self.path, "rb")
        buffered = self._raw if isinstance(self._raw, io.BufferedReader) else io.BufferedReader(self._raw)
        return gzip.open(buffered) if buffered.peek(2)[:2] == GZIP_MAGIC else buffered


def check(paths: list[str]) -> None:
    """Checks that all inputs can be read, before any work is done.

    Args:
        paths: Files, or "-" for standard input.

    Raises:
        InputError: If a path is not a readable file, or standard input is given twice.
    """
    for path in paths:
        if path == STANDARD_INPUT:
            continue
        if not Path(path).is_file():
            found = (
                "is a folder"
                if Path(path).is_dir()
                else "is not a regular file"
                if os.path.exists(path)
                else "does not exist"
            )
            raise InputError(
                f"{path} {found}; expected a text file with an example on each line, or - for standard input."
            )
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if paths.count(STANDARD_INPUT) > 1:
        raise InputError("Standard input (-) is given twice; it can be read once.")
