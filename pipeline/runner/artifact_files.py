"""Artifacts on disk: their content digest, whether they are intact, and making and removing folders."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.artifacts.document import finite
from models import files

REMOVED = "removed-"  # beginning of the names of folders that are being removed
FileRecord = list  # [size in bytes, mtime in nanoseconds, sha256 in hexadecimal]


def scan(folder: Path) -> dict[str, FileRecord]:
    """Reads every file below a folder.

    Args:
        folder: An artifact's folder.

    Returns:
        Relative name -> [size in bytes, modification time in ns, SHA-256], in the order of names.
    """
    return {name: _record(path) for name, path in _files(folder)}


def content_digest(scanned: Mapping[str, FileRecord]) -> str:
    """Returns the SHA-256 of relative names and contents; times are ignored.

    Args:
        scanned: What `scan` returns.
    """
    return json_digest({name: record[2] for name, record in scanned.items()})


def json_digest(value: Any) -> str:
    """Returns the SHA-256 of a value's JSON text with sorted keys.

    Args:
        value: A JSON-serialisable value.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def intact(folder: Path, recorded: Mapping[str, FileRecord]) -> bool:
    """Returns whether a folder holds exactly the recorded files with the recorded contents.

    A file whose size and time are the recorded ones counts as unchanged; a file with another time is read again.

    Args:
        folder: An artifact's folder.
        recorded: What `scan` returned when the artifact was published.
    """
    if not folder.is_dir():
        return False
    paths = dict(_files(folder))
    if paths.keys() != recorded.keys():
        return False
    for name, path in paths.items():
        size, mtime, sha256 = recorded[name]
        stat = path.stat()
        if stat.st_size != size or (stat.st_mtime_ns != mtime and _record(path)[2] != sha256):
            return False
    return True


def damaged(folder: Path, recorded: Mapping[str, FileRecord]) -> Path | None:
    """Reads all files, and returns the first whose contents differ from the recorded ones, or None.

    Args:
        folder: An artifact's folder.
        recorded: What `scan` returned when the artifact was published; times are ignored.
    """
    for name, (size, _, sha256) in recorded.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size or _record(path)[2] != sha256:
            return path
    return None


@contextlib.contextmanager
def staged(parent: Path, name: str) -> Iterator[Path]:
    """Makes a new folder that is removed at the end, with everything that was not moved out of it.

    Args:
        parent: Where to make it.
        name: The beginning of its name.

    Yields:
        The folder.
    """
    folder = parent / f"{name}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        remove(folder)


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[None]:
    """Makes a folder the temporary folder of libraries, here and in child processes.

    Killed runs leave temporary files behind; in this folder the next run finds and removes them.

    Args:
        folder: The folder, which is emptied first and removed at the end.
    """
    before = os.environ.get("TMPDIR")
    remove(folder)
    folder.mkdir(parents=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = None
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before
        remove(folder)


def remove(folder: Path) -> None:
    """Removes a folder, even if a worker that is stopping still writes into it.

    Args:
        folder: The folder; it need not exist.
    """
    with contextlib.suppress(OSError):
        renamed = folder.with_name(f"{REMOVED}{uuid.uuid4().hex[:8]}")
        folder.rename(renamed)
        folder = renamed
    shutil.rmtree(folder, ignore_errors=True)


def finish_removing(parent: Path) -> None:
    """Removes what `remove` had renamed when it was killed.

    Args:
        parent: A folder; its folders are searched, too.
    """
    for folder in [*parent.glob(f"{REMOVED}*"), *parent.glob(f"*/{REMOVED}*")]:
        shutil.rmtree(folder, ignore_errors=True)


def as_json(value: Any) -> Any:
    """Converts figures to strict JSON: NumPy scalars to numbers, paths to strings, numbers that are not finite to None.

    Args:
        value: A figure, or nested mappings and lists of them.
    """
    return finite(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON; the file appears complete or not at all.

    Args:
        path: The file; its folder is made if needed.
        value: A JSON-serialisable value.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def _files(folder: Path) -> list[tuple[str, Path]]:
    return sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())


def _record(path: Path) -> FileRecord:
    sha256 = files.file_digest(path)
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, sha256]
