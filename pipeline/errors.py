"""Turns failures into one message for each. The traceback goes to the run's log, and to the terminal with --verbose."""

import errno
import shutil
import sqlite3
from pathlib import Path

from components.base import ComponentError
from components.child_process import ChildDied
from pipeline.root import metadata_file

# What the messages of libraries and child processes contain, in lower case.
FULL = ("no space left", "errno 28]", "errno = 28", "disk quota exceeded")
OUT_OF_MEMORY = (
    "memoryerror", "bad_alloc", "cannot allocate memory", "failed to map segment", "resourceexhaustederror",
    "oom when allocating", "out of memory",
)  # fmt: skip
DAMAGED = ("datalosserror", "corrupted record", "data loss")
FULL_BYTES = 1 << 20  # with less free space libraries may fail without mentioning the disk


class RunnerError(Exception):
    """The command cannot start: the message says why and what to do."""


class Refused(Exception):
    """The result is worse than a limit allows and was not kept: the message says by how much."""


def describe(error: BaseException, root: Path, log: Path | None = None) -> str:
    """Describes a failure in one message that says what to do.

    Args:
        error: The exception.
        root: The pipeline's root, which the message names if the error names no file.
        log: File that has the traceback; the message names it if there is no better explanation.
    """
    if isinstance(error, ComponentError):
        return str(error)
    number = error.errno if isinstance(error, OSError) else None
    text = str(error).lower()
    full = any(sign in text for sign in FULL) or (isinstance(error, sqlite3.Error) and "full" in text)
    if full or number in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk with {_path_of(error, root)} is full. Free some space, then start the same command again."
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) or (isinstance(error, sqlite3.Error) and "readonly" in text):
        place = _path_of(error, root)
        return f"{place} cannot be written ({error}). Choose a folder of yours: --set pipeline.root=FOLDER."
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{_path_of(error, root)} is a file, expected a folder."
    if isinstance(error, MemoryError) or number == errno.ENOMEM or any(sign in text for sign in OUT_OF_MEMORY):
        return "out of memory. Lower trainer.batch_size, model.units or example_gen.chunk_bytes."
    if isinstance(error, sqlite3.Error):
        return f"{metadata_file(root)} {_database_problem(error)}"
    if any(sign in text for sign in DAMAGED):
        return f"a file that it read is damaged ({unforeseen(error)}). Rebuild all outputs with --no-cache."
    where = f" Its traceback is in {log}; --verbose shows it." if log else ""
    return unforeseen(error) + where


def is_of_full_disk(error: Exception, root: Path) -> bool:
    """Returns whether a full disk explains an error that does not mention it.

    Call it while the failed output is still there: removing it frees the space.

    Args:
        error: The exception that a component raised.
        root: A folder on the disk.
    """
    if isinstance(error, ComponentError) and not isinstance(error, ChildDied):
        return False
    try:
        return shutil.disk_usage(root).free < FULL_BYTES
    except OSError:
        return False


def _database_problem(error: sqlite3.Error) -> str:
    if not isinstance(error, sqlite3.OperationalError):
        return f"is damaged ({error}). A run (--local) renames it and rebuilds it from the records below the root."
    if "locked" in str(error):
        return f"is in use by another program ({error}). Close that program, then start the same command again."
    if "disk I/O" in str(error):
        return f"cannot be read or written ({error}). Check the disk, its free space and limits such as `ulimit -f`."
    return f"cannot be opened ({error}). Check what is there and its permissions, or choose another pipeline.root."


def unforeseen(error: BaseException) -> str:
    """Returns an error's type and message on one line.

    Args:
        error: The exception. If its message is another process's traceback, only the last line is kept.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return lines[-1]
    return f"{type(error).__name__}: {' '.join(lines)}" if lines else type(error).__name__


def _path_of(error: BaseException, root: Path) -> str:
    return str(getattr(error, "filename", None) or root)
