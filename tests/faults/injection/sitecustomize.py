"""A fault at a chosen moment of a command, without a line of product code: Python imports this at start-up.

The test puts this folder on `PYTHONPATH` and a fault, as JSON, into `FAULT`. Python's audit events (a file is opened
for writing, renamed, removed; a folder is made) and SQLite's statements are counted in every process of the command;
before the chosen one happens, the fault does. See `tests/faults/plan.py` for its fields.
"""

import json
import os
import re
import resource
import signal
import sqlite3
import sys

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_ACTIONS = {
    "kill the command": lambda: os.kill(_command(), signal.SIGKILL),
    "kill this process": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "kill the group": lambda: os.killpg(0, signal.SIGKILL),
    "SIGTERM to the command": lambda: os.kill(_command(), signal.SIGTERM),
    "SIGTERM to the group": lambda: os.killpg(0, signal.SIGTERM),
    "Ctrl-C to the command": lambda: os.kill(_command(), signal.SIGINT),
    "Ctrl-C to the group": lambda: os.killpg(0, signal.SIGINT),
    "memory limit": lambda: _limit_memory(),
    "disk full": lambda: _fill_disk(),
}


def _command() -> int:
    return int(os.environ["FAULT_COMMAND"])


def _limit_memory() -> None:
    """Leaves this process 16 MiB more of addresses than it has."""
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20),) * 2)


def _fill_disk() -> None:
    """Fills the disk of the root: a small one of the test's own, never a real one."""
    file = os.open(os.environ["FAULT_FILLER"], os.O_WRONLY | os.O_CREAT)
    disk = os.fstatvfs(file)
    if disk.f_bavail * disk.f_frsize > 1 << 28:
        os.abort()
    block = 1 << 20
    while block:
        try:
            os.write(file, b"\0" * block)
        except OSError:
            block //= 2
    os.close(file)


class _Injection:
    def __init__(self, match: str, count: int, action: str, done: str, later: int = 0):
        self.match, self.left, self.action, self.done = re.compile(match), count, action, done
        self.later = None
        self.wanted_later = later
        self.busy = False
        self._connect = sqlite3.connect

    def audit(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, os.PathLike)) and flags & _WRITING:
                self.happens(f"write {os.fspath(path)}")
            elif self.later is not None:
                self.happens("read")
        elif event == "os.rename":
            self.happens(f"rename {os.fspath(arguments[0])} -> {os.fspath(arguments[1])}")
        elif event in ("os.remove", "os.mkdir"):
            self.happens(f"{event[3:]} {arguments[0]}")

    def connect(self, *arguments, **options) -> sqlite3.Connection:
        connection = self._connect(*arguments, **options)
        connection.set_trace_callback(lambda statement: self.happens(f"sql {' '.join(statement.split())}"))
        return connection

    def happens(self, what: str) -> None:
        if self.busy:
            return
        self.busy = True
        try:
            self._count(what)
        finally:
            self.busy = False

    def _count(self, what: str) -> None:
        if self.later is None:
            if not self.match.search(what):
                return
            self.left -= 1
            if self.left:
                return
            self.later = self.wanted_later
        if self.later:
            self.later -= 1
            return
        self.later = sys.maxsize
        try:
            file = os.open(self.done, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:  # another process of the command had it
            return
        os.write(file, what.encode("utf-8", "replace"))
        os.close(file)
        _ACTIONS[self.action]()


if os.environ.get("FAULT"):
    os.environ.setdefault("FAULT_COMMAND", str(os.getpid()))
    _injection = _Injection(**json.loads(os.environ["FAULT"]))
    sqlite3.connect = _injection.connect  # SQLite's statements are no audit events
    sys.addaudithook(_injection.audit)
