"""Artifacts on disk: their content digest, whether they are still what was published, folders made and removed."""

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from models import files

FileRecord = list  # [size in bytes, mtime in nanoseconds, sha256 in hexadecimal]


def scan(folder: Path) -> dict[str, FileRecord]:
    """Relative name -> [size, mtime_ns, sha256] of every file below `folder`, in the order of names."""
    return {name: _record(path) for name, path in _files(folder)}


def content_digest(found: Mapping[str, FileRecord]) -> str:
    """SHA-256 over relative names and contents; times do not count."""
    return json_digest({name: record[2] for name, record in found.items()})


def json_digest(value: Any) -> str:
    """SHA-256 of a value's JSON text, keys sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def intact(folder: Path, recorded: Mapping[str, FileRecord]) -> bool:
    """Whether `folder` holds exactly those files with those contents.

    A file of the recorded size and time is taken for unchanged; one with another time is read again.
    """
    if not folder.is_dir():
        return False
    found = dict(_files(folder))
    if found.keys() != recorded.keys():
        return False
    for name, path in found.items():
        size, mtime, sha256 = recorded[name]
        stat = path.stat()
        if stat.st_size != size or (stat.st_mtime_ns != mtime and _record(path)[2] != sha256):
            return False
    return True


def damaged(folder: Path, recorded: Mapping[str, FileRecord]) -> Path | None:
    """The first file that has not the recorded contents any more, whatever its time says; reads all of them."""
    for name, (size, _, sha256) in recorded.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size or _record(path)[2] != sha256:
            return path
    return None


@contextlib.contextmanager
def staged(parent: Path, name: str) -> Iterator[Path]:
    """A new folder under `parent` that is gone afterwards, with whatever was not moved out of it."""
    folder = parent / f"{name}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        remove(folder)


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[None]:
    """Has libraries, here and in child processes, put their temporary files there: killed runs leave them behind."""
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
    """Removes a folder also while a worker that is stopping still writes into it."""
    with contextlib.suppress(OSError):
        doomed = folder.with_name(f"removed-{uuid.uuid4().hex[:8]}")
        folder.rename(doomed)
        folder = doomed
    shutil.rmtree(folder, ignore_errors=True)


def as_json(value: Any) -> Any:
    """Figures as strict JSON: NumPy scalars become numbers, paths strings, numbers that are not finite None."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def _files(folder: Path) -> list[tuple[str, Path]]:
    return sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())


def _record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, sha256]
