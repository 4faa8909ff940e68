"""Runs a function in a separate process: a fresh TensorFlow, whose devices and memory are released when it ends."""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple, Protocol

from components import run_log, standard_error
from components.base import ComponentError
from components.quiet_import import import_quietly
from models.allocator import keep_freed_memory

STOP_SECONDS = 6.0  # for a checkpoint, before a child that was asked to stop is killed

_stop_requested = threading.Event()
_prepared: "_Child | None" = None


class ChildDied(ComponentError):
    """Raised if a child process ended without an answer."""


class _Child(NamedTuple):
    """A process that does one piece of work, and the connection that carries the work and the answer."""

    process: SpawnProcess
    connection: Connection


class ConnectionWatch(Protocol):
    """Connections to processes that the child's work depends on."""

    @property
    def sockets(self) -> Sequence[Any]:
        """The sockets that become readable when `hear` has to be called."""

    def hear(self, seconds: float | None) -> Any:
        """Reads what has arrived on the sockets.

        Args:
            seconds: Longest time to wait; None waits without limit.

        Raises:
            ComponentError: If the child's work has become useless.
        """


def prepare() -> None:
    """Starts the process of the next `run_in_child` now, so that it imports TensorFlow while this process works."""
    global _prepared
    if _prepared is None:
        _prepared = _start()


def discard_prepared() -> None:
    """Ends the process that `prepare` started, if it was not used."""
    global _prepared
    unused, _prepared = _prepared, None
    if unused is not None:
        unused.process.kill()
        unused.process.join()
        unused.connection.close()


def run_in_child(function: Callable[..., Any], *args: Any, watch: ConnectionWatch | None = None) -> Any:
    """Calls `function(*args)` in a new process and returns its result.

    The function, its arguments and its result must be picklable. The child ends with its parent, even if the parent is
    killed. If this process is interrupted, the child has `STOP_SECONDS` to end by itself (see `stop_requested`).

    Args:
        function: A top-level function of a module.
        *args: Its arguments.
        watch: Connections that may make the work useless while it runs. If its `hear` raises, the child is killed.

    Returns:
        What the function returned.

    Raises:
        ComponentError: If the function or `watch` raised one, or (`ChildDied`) the process died.
        RuntimeError: If the function raised any other exception; the message holds the child's traceback.
    """
    global _prepared
    prepared, _prepared = _prepared, None
    process, connection = prepared or _start()
    try:
        connection.send((function, args, run_log.where()))
        while watch and connection not in wait([connection, *watch.sockets]):
            watch.hear(0)
        kind, value = connection.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        process.join()
        raise ChildDied(_death(process.exitcode)) from None
    except ComponentError:  # of `watch`
        process.kill()
        raise
    except BaseException:  # this process was interrupted
        process.terminate()
        raise
    finally:
        process.join(STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        connection.close()
    if kind == "result":
        return value
    raise ComponentError(value) if kind == "component error" else RuntimeError(value)


def _start() -> _Child:
    """Starts a process that waits for its work."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs,), daemon=True)
    with _interrupts_later():
        process.start()
        theirs.close()
    return _Child(process, ours)


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Blocks Ctrl-C while a process starts.

    The new process inherits the block, so that it is not interrupted before it ignores Ctrl-C.
    """
    resource_tracker.ensure_running()  # started with the first process, and would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop_requested() -> bool:
    """Whether this child process was asked to stop."""
    return _stop_requested.is_set()


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Runs a block that checks `stop_requested` itself.

    Outside of such a block, a request to stop ends the process at once.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: _stop_requested.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def show_warnings_alone() -> None:
    """Hides messages below the level of a warning on standard error. The run's log still has them."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setLevel(logging.WARNING)


def _death(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return (
            "The training process was killed, probably out of memory. Free some, or lower trainer.batch_size or "
            "model.units, then run the same command again."
        )
    if exit_code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):
        return (
            f"The training process ended without a result ({signal.Signals(-exit_code).name}): most likely out of "
            "memory or disk space. Free some, then run the same command again; --verbose shows more."
        )
    return f"The training process ended without a result (exit code {exit_code}). Run again with --verbose."


def _child(connection: Connection) -> None:
    keep_freed_memory()  # before any thread, which would have an arena of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, too, which decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.stdout is not None:
        sys.stdout = standard_error.Messages(sys.stdout)  # results go through the connection
    with standard_error.for_messages():
        _answer(connection)


def _answer(connection: Connection) -> None:
    try:
        import_quietly("tensorflow")
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        function, args, log = connection.recv()
        if log:
            run_log.begin(*log)  # after that: basicConfig does nothing where there is a handler
        connection.send(("result", function(*args)))
    except ComponentError as error:
        connection.send(("component error", str(error)))
    except EOFError:
        pass  # no work came
    except Exception:
        connection.send(("error", traceback.format_exc()))
    except BaseException:
        if not _stop_requested.is_set():
            raise


def _end_with_parent():
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
