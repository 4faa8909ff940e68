"""Opens a root's metadata after checking them; damaged or lost ones are rebuilt from the records below the root.

While no run is in progress, `metadata.sqlite.sha256` has the checksum of the file: SQLite itself detects a wrong byte
only in its own structures. After a killed run that checksum is missing, and only SQLite's checks are made.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from models import files
from pipeline.metadata import lineage_records
from pipeline.metadata.store import Metadata
from pipeline.root import METADATA

PARTS = "", "-wal", "-shm"
WAIT_SECONDS = 30.0  # for another program that has the file locked


@contextlib.contextmanager
def opened(root: Path, report: Callable[[str], None]) -> Iterator[Metadata]:
    """Opens the metadata of a root whose lock this process holds.

    Args:
        root: The pipeline's root; the metadata file is created in it if missing.
        report: Called with a message if the file was damaged or missing and has been rebuilt.

    Yields:
        The metadata.

    Raises:
        OSError: If the file cannot be opened.
        sqlite3.Error: If the file is locked or cannot be read, though it is not damaged.
    """
    path = root / METADATA
    checksum = root / f"{METADATA}.sha256"
    problem = _damage(path, checksum)
    checksum.unlink(missing_ok=True)
    if problem:
        report(_rebuild(path, problem))
    try:
        with Metadata(path) as metadata:
            metadata.keep_records()
            yield metadata
    finally:
        with contextlib.suppress(OSError):  # on a full disk only this check is lost
            if not _has_journal(path):
                files.write_text(checksum, files.file_digest(path))


def _rebuild(path: Path, problem: str) -> str:
    """Rebuilds the file aside, so that a kill cannot leave half of it; returns a message about it."""
    aside, renamed = (path.with_name(f"{METADATA}.{word}") for word in ("new", time.strftime("damaged-%Y%m%d-%H%M%S")))
    for part in PARTS:
        Path(f"{aside}{part}").unlink(missing_ok=True)
    with Metadata(aside) as metadata:
        executions, runs, changed = lineage_records.restore(path.parent, metadata)
    was = "was missing"
    if path.exists():
        was = f"was damaged ({problem}). It was renamed to {renamed.name}"
    for part in PARTS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{part}").rename(f"{renamed}{part}")
    aside.rename(path)
    for record in changed:
        lineage_records.write_execution(path.parent, record)
    built = f"the records of {executions} executions and {runs} runs below {path.parent}"
    return f"{path} {was}, and was rebuilt from {built}."


def _damage(path: Path, checksum: Path) -> str | None:
    """Returns what is wrong with the file or its contents, or None."""
    size = path.stat().st_size if path.is_file() else 0
    if not size:
        lost = lineage_records.any_in(path.parent)
        return ("it is empty" if path.exists() else "it is missing") if lost else None
    if checksum.is_file() and not _has_journal(path) and checksum.read_bytes() != files.file_digest(path).encode():
        return "its checksum differs"
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as database:
            result = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if result != "ok":
                return " ".join(result.split())
            if database.execute("PRAGMA foreign_key_check").fetchone():
                return "rows refer to rows that are missing"
    except sqlite3.OperationalError:
        raise  # the file is locked or unreadable, which says nothing about its contents
    except sqlite3.DatabaseError as error:
        return str(error)
    return None


def _has_journal(path: Path) -> bool:
    """Returns whether the journal holds changes; a reader leaves an empty one."""
    journal = path.with_name(f"{METADATA}-wal")
    return journal.exists() and journal.stat().st_size > 0
