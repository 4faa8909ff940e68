"""What shows that a file has changed while it was read: its size and time."""

import os
from collections.abc import Iterable
from pathlib import Path

from components.base import ComponentError
from components.example_gen import remote_files
from components.example_gen.text_encoding import unreadable
from models.files import is_url

Stamp = tuple[int, int]  # a file's size in bytes and its modification time in nanoseconds


def stamp(path: str | Path) -> Stamp:
    """What changes with a file's contents.

    Raises:
        ComponentError: If the file is gone or cannot be read.
    """
    try:
        if is_url(path):
            size, seconds = remote_files.metadata(str(path))
            return size, round(seconds * 1e9)
        found = os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return found.st_size, found.st_mtime_ns


def check_unchanged(stamps: Iterable[tuple[str | Path, Stamp]]) -> None:
    """Raises ComponentError where a file has another stamp than before it was read."""
    for path, before in stamps:
        if stamp(path) != before:
            raise changed(path)


def changed(path: str | Path) -> ComponentError:
    """The error for a file that is not what it was."""
    return ComponentError(
        f"{path} was changed while it was read: the text would be a mixture of old and new. Run again when nothing "
        "writes to it."
    )
