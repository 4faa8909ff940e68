"""Files and folders that appear whole or not at all: they are on the disk before they take their name."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(path: str | Path) -> bool:
    """Whether a path names another file system than the mounted ones, such as `gs://bucket/texts`."""
    return isinstance(path, str) and _URL.match(path) is not None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` to write to, which then takes its place; if the writing fails, `path` stays as it was.

    Args:
        path: A file that one process writes at a time; its folder exists.
    """
    aside = path.with_name(f".{path.name}")  # the same each time, so that killed writers do not leave more and more
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Writes a file in UTF-8, whole or not at all."""
    with writing(path) as file:
        file.write(text.encode("utf-8"))


def move_into_place(folder: Path, target: Path) -> None:
    """Renames a folder once everything in it is on the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            sync(Path(place, name))
        sync(Path(place))
    folder.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Has the disk hold what was written to a file, or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():
            raise
        # some file systems have no sync of folders
    finally:
        os.close(descriptor)
