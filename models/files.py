"""Files and folders that are complete or absent: they are on the disk before they get their name."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(path: str | Path | None) -> bool:
    """Whether a path is a URL, such as `gs://bucket/texts`, and not on a mounted file system.

    Args:
        path: A path or a URL; a `Path` is never a URL.
    """
    return isinstance(path, str) and _URL.match(path) is not None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Opens a hidden file next to `path` for writing, and renames it to `path` at the end of the block.

    If the block raises an error, `path` is not changed.

    Args:
        path: A file that one process writes at a time; its folder exists.

    Yields:
        The open binary file.

    Raises:
        OSError: If the file cannot be written.
    """
    # Always the same name, so that writers that are killed do not leave one file each.
    aside = path.with_name(f".{path.name}")
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
    """Writes a text file in UTF-8, completely or not at all.

    Args:
        path: The file; its folder exists.
        text: Its new contents.

    Raises:
        OSError: If the file cannot be written; the old contents are then kept.
    """
    with writing(path) as file:
        file.write(text.encode("utf-8"))


def move_into_place(folder: Path, target: Path) -> None:
    """Renames a folder once everything in it is on the disk.

    Args:
        folder: The folder.
        target: Its new name, on the same file system.

    Raises:
        OSError: If a file cannot be synced, or the folder cannot be renamed.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            sync(Path(place, name))
        sync(Path(place))
    folder.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Waits until the disk holds what was written to a file, or a folder's list of names.

    Args:
        path: The file or folder.

    Raises:
        OSError: If a file cannot be synced.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():
            raise
        # Some file systems cannot sync folders.
    finally:
        os.close(descriptor)
