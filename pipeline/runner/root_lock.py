"""A lock that lets one run at a time use a root."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import RunnerError


@contextlib.contextmanager
def held(root: Path) -> Iterator[None]:
    """Holds the root's lock. The kernel releases it however the process ends.

    Args:
        root: An existing folder.

    Raises:
        RunnerError: If another process holds it; the message names that process.
    """
    path = root / ".lock"
    if path.exists() and not path.is_file():
        raise RunnerError(
            f"pipeline.root: {path} is not a regular file; a run expects its own lock file there. Remove it."
        )
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            raise RunnerError(
                f"pipeline.root: another run is using {root} (process {holder}). Wait for it to end, or choose "
                "another folder with --set pipeline.root=FOLDER."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
