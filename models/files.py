"""Files that are complete or absent (they are on the disk before they get their name), and digests of files."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
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


def file_digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Computes the digest of a file's contents.

    Args:
        path: The file.
        algorithm: A name that `hashlib` knows. Default "sha256".

    Returns:
        The digest in hexadecimal digits.

    Raises:
        OSError: If the file cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def digest_of(contents: Iterable[tuple[str, bytes]]) -> str:
    """Computes one SHA-256 over the names of several files and the digests of their contents.

    Args:
        contents: (name, digest of the contents) of each file, in a fixed order.

    Returns:
        The digest in hexadecimal digits.
    """
    total = hashlib.sha256()
    for name, digest in contents:
        total.update(name.encode("utf-8", "surrogateescape") + b"\0" + digest)
    return total.hexdigest()
