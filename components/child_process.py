"""Runs a function in a process of its own: a fresh TensorFlow, whose devices and memory end with it."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from typing import Any

from components.base import ComponentError
from components.quiet_import import import_quietly


def run_in_child(function: Callable[..., Any], *args: Any, environment: Mapping[str, str] | None = None) -> Any:
    """Calls `function(*args)` in a new process and returns its result; all three must pickle.

    The child ends with its parent, even where that is killed.

    Args:
        function: A module's top-level function.
        *args: Its arguments.
        environment: Variables to set before the child starts: TensorFlow reads some when it is imported.

    Raises:
        ComponentError: If the function raised one, or the process died.
        RuntimeError: If the function raised anything else; the message holds the child's traceback.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, function, args))
    before = dict(os.environ)
    os.environ.update(environment or {})
    try:
        process.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    sender.close()
    try:
        kind, value = receiver.recv()
    except EOFError:
        process.join()
        raise ComponentError(_death(process.exitcode)) from None
    finally:
        if process.is_alive():
            process.join(10)  # it has answered and only cleans up, or this process was interrupted
        if process.is_alive():
            process.kill()
            process.join()
    if kind == "result":
        return value
    raise ComponentError(value) if kind == "component error" else RuntimeError(value)


def _death(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return "The training process was killed, most likely for want of memory. Free some, or use a smaller model."
    return f"The training process ended without a result (exit code {exit_code}). Run again with --verbose."


def _child(sender, function, args):
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        import_quietly("tensorflow")
        sender.send(("result", function(*args)))
    except ComponentError as error:
        sender.send(("component error", str(error)))
    except Exception:
        sender.send(("error", traceback.format_exc()))
    except KeyboardInterrupt:
        pass  # the parent was interrupted, too, and says so


def _end_with_parent():
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
