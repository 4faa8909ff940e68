"""Detects that a file changed while it was read, by its size and its modification time."""

import os
from collections.abc import Iterable
from pathlib import Path

from components.base import ComponentError
from components.example_gen import remote_files
from components.example_gen.text_encoding import unreadable
from models.files import is_url

Stamp = tuple[int, int]  # a file's size in bytes and its modification time in nanoseconds


def stamp(path: str | Path) -> Stamp:
    """Returns a file's size in bytes and its modification time in nanoseconds.

    Args:
        path: The file, or its URL.

    Raises:
        ComponentError: If the file is gone or cannot be read.
    """
    try:
        if is_url(path):
            size, seconds = remote_files.metadata(str(path))
            return size, round(seconds * 1e9)
        status = os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return status.st_size, status.st_mtime_ns


def check_unchanged(stamps: Iterable[tuple[str | Path, Stamp]]) -> None:
    """Checks that files have not changed since they were stamped.

    Args:
        stamps: Paths with their stamps from before they were read.

    Raises:
        ComponentError: If a file has another stamp now, or is gone.
    """
    for path, before in stamps:
        if stamp(path) != before:
            raise changed(path)


def changed(path: str | Path) -> ComponentError:
    """Returns the error for a file that changed while it was read.

    Args:
        path: The file's path or URL.
    """
    return ComponentError(
        f"{path} was changed while it was read: the text would be a mixture of old and new. Run again when no other "
        "program writes to it."
    )
