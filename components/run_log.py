"""Writes a run's log: `runs/<run id>/log.jsonl`, one JSON object a line.

Each object has `time`, `level`, `component` and `message`. The log holds the runner's messages and what modules log,
in this process and in child processes, which append to the same file.
"""

import contextlib
import datetime
import json
import logging
import os
import re
from pathlib import Path

# Secrets in addresses and options: https://user:password@host, --s3_secret_access_key=..., ?token=...
_SECRET_WORDS = r"secret|token|password|passwd|credential|signature|api_?key|access_key"
_SECRETS = (
    (re.compile(r"(\w+://)[^/\s@]+@"), r"\1***@"),
    (re.compile(rf"(?i)([\w-]*(?:{_SECRET_WORDS})[\w-]*=)[^\s&'\",]+"), r"\1***"),
)

_handler: "_Handler | None" = None


class _Handler(logging.Handler):
    def __init__(self, path: str, component: str | None):
        super().__init__()
        self.path, self.component = path, component

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # a message and its arguments that do not fit must not stop who logs them
            self.handleError(record)
            return
        for pattern, replacement in _SECRETS:
            message = pattern.sub(replacement, message)
        time = datetime.datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        fields = {"time": time, "level": record.levelname, "component": self.component, "message": message}
        line = json.dumps(fields).encode() + b"\n"
        with contextlib.suppress(OSError):  # a full disk must not stop the work that is logged
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(file, line)  # one call: lines of several processes do not mix
            finally:
                os.close(file)


def begin(path: Path | str, component: str | None = None) -> None:
    """Starts logging to a file, instead of the current one if there is one.

    Args:
        path: The file to append to. Its folder is made if it is missing.
        component: Name of the component whose messages follow, or None.
    """
    global _handler
    end()
    with contextlib.suppress(OSError):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    _handler = _Handler(str(path), component)
    logging.getLogger().addHandler(_handler)


def end() -> None:
    """Stops logging."""
    global _handler
    if _handler:
        logging.getLogger().removeHandler(_handler)
    _handler = None


def set_component(name: str | None) -> None:
    """Sets the component whose messages follow.

    Args:
        name: The component's name; None for messages of no component.
    """
    if _handler:
        _handler.component = name


def write(message: str, level: int = logging.INFO) -> None:
    """Adds a message to the log without showing it on standard error.

    Args:
        message: The text. Secrets in addresses and options are replaced by `***`.
        level: A level of the `logging` module.
    """
    if _handler:
        _handler.emit(logging.LogRecord("", level, "", 0, message, None, None))


def where() -> tuple[str, str | None] | None:
    """Returns the arguments of `begin` for a child process, or None if nothing is logged."""
    return (_handler.path, _handler.component) if _handler else None
