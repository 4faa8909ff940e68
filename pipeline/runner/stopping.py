"""Ctrl-C and SIGTERM: they raise an exception in the main thread, and end the process within seconds in any case.

Only the standard library is imported here: the handlers are in place before anything else is loaded.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from pipeline.exit_codes import INTERRUPTED, TERMINATED

GRACE_SECONDS = 8.0  # a training's child process needs up to six seconds for its checkpoint
RESUME = (
    "nothing was left half written. Run the same command again to resume: finished components are reused, and training "
    "continues from its checkpoint."
)

_received: list[int] = []


class Terminated(BaseException):
    """SIGTERM arrived."""


def install() -> None:
    """Installs the handlers. SIGINT stays ignored if it is, as in a shell's background jobs."""
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop)


def check() -> None:
    """Raises the signal's exception again, if one arrived: libraries may have replaced it with an error of their own.

    Raises:
        KeyboardInterrupt: If Ctrl-C arrived.
        Terminated: If SIGTERM arrived.
    """
    if _received:
        raise KeyboardInterrupt if _received[0] == signal.SIGINT else Terminated


def exit_code() -> int | None:
    """Returns the exit code after a signal; None if there was none."""
    return {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}[_received[0]] if _received else None


def message() -> str:
    """Returns what is printed at the end after a signal."""
    return f"{'Interrupted' if exit_code() == INTERRUPTED else 'Terminated'}: {RESUME}"


def _stop(number: int, _) -> None:
    _received.append(number)
    if len(_received) > 1:
        _end()
    threading.excepthook = lambda *_: None  # errors of threads that are being stopped must not be shown
    logging.disable()
    threading.Thread(target=_end_soon, daemon=True).start()
    check()


def _end_soon() -> None:
    """Kills Beam's workers, which do not notice the signal, and after the grace period this process."""
    children = {child.pid for child in multiprocessing.active_children()}  # these end by themselves
    _kill(set(_descendants(os.getpid())) - children)
    time.sleep(GRACE_SECONDS)
    _end()


def _end() -> None:
    _kill(_descendants(os.getpid()))
    print(message(), file=sys.stderr, flush=True)
    os._exit(exit_code())


def _kill(processes: Iterable[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _descendants(parent: int) -> list[int]:
    """Returns a process's descendants on Linux; on other systems none, as they end when their parent is gone."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # the process has ended meanwhile
            # A program's name may be any bytes, also UTF-8 that is cut within a character.
            fields = stat.read_text(encoding="latin-1").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    descendants = list(children.get(parent, []))
    for process in descendants:
        descendants += children.get(process, [])
    return descendants


def end(exit_code: int) -> NoReturn:
    """Ends the process.

    Args:
        exit_code: After a signal, threads of Beam or TensorFlow are not waited for.
    """
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    if exit_code in (INTERRUPTED, TERMINATED):
        os._exit(exit_code)  # threads of Beam or TensorFlow that were cut short must not keep the command alive
    sys.exit(exit_code)
