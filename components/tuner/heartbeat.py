"""Signs of life through the shared folder: how a chief notices, from any machine, that a worker has died."""

import contextlib
import threading
import time
from pathlib import Path

INTERVAL = 10.0  # seconds between two signs of life, and between two looks for them
WORKER_TIMEOUT = 120.0  # seconds of silence after which a worker is dead: a network's file system may show signs late


def begin(file: Path) -> None:
    """Touches `file` from now on until this process ends."""

    def beat() -> None:
        while True:
            with contextlib.suppress(OSError):  # a file system that is away for a moment
                file.touch()
            time.sleep(INTERVAL)

    threading.Thread(target=beat, daemon=True).start()


class HeartbeatMonitor:
    """Tells which files nobody touches any more. Goes by the watcher's own clock alone."""

    def __init__(self):
        self._last: dict[Path, tuple[float, float]] = {}  # a file's time, and when it was first seen to be that

    def is_silent(self, file: Path) -> bool:
        """Whether `file` was not touched for `WORKER_TIMEOUT` seconds; False while it cannot be looked at."""
        try:
            touched, now = file.stat().st_mtime, time.monotonic()
        except OSError:
            return False
        if self._last.get(file, (None, 0.0))[0] != touched:
            self._last[file] = touched, now
        return now - self._last[file][1] > WORKER_TIMEOUT
