"""Heartbeats through the shared folder: a chief notices, on any machine, that a worker has died."""

import contextlib
import threading
import time
from pathlib import Path

INTERVAL = 10.0  # seconds between two touches of a file, and between two checks
WORKER_TIMEOUT = 120.0  # seconds after which a worker counts as dead: a network file system may show touches late


def begin(file: Path) -> None:
    """Touches a file every `INTERVAL` seconds until this process ends.

    Args:
        file: The worker's file.
    """

    def beat() -> None:
        while True:
            with contextlib.suppress(OSError):  # the file system may be unavailable for a moment
                file.touch()
            time.sleep(INTERVAL)

    threading.Thread(target=beat, daemon=True).start()


class HeartbeatMonitor:
    """Finds files that are not touched any more. It uses only the clock of the watching process."""

    def __init__(self):
        self._last: dict[Path, tuple[float, float]] = {}  # a file's time, and when that time was first seen

    def is_silent(self, file: Path) -> bool:
        """Whether a file was not touched for `WORKER_TIMEOUT` seconds; False while the file cannot be read.

        Args:
            file: The worker's file.
        """
        try:
            touched, now = file.stat().st_mtime, time.monotonic()
        except OSError:
            return False
        if self._last.get(file, (None, 0.0))[0] != touched:
            self._last[file] = touched, now
        return now - self._last[file][1] > WORKER_TIMEOUT
