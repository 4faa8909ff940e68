"""Work in a separate process: its result, its errors, and its end when its parent is interrupted."""

import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from components import child_process
from components.base import ComponentError


def double(number: int) -> int:
    return 2 * number


def fail(kind: str) -> None:
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise {"component": ComponentError("loss.gamma: found -1"), "other": ZeroDivisionError("nothing to divide by")}[
        kind
    ]


def say() -> str:
    for stream in (sys.stdout, sys.stderr):
        print("chatter", file=stream, flush=True)
    return "done"


def work(folder: Path, kind: str) -> None:
    (folder / "pid").write_text(str(os.getpid()))
    if kind == "stoppable":
        with child_process.stoppable():
            while not child_process.stop_requested():
                time.sleep(0.01)
            (folder / "checkpoint").touch()
            raise KeyboardInterrupt
    if kind == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def interrupts() -> tuple[bool, bool]:
    """Whether an interrupt is ignored here, and whether it is blocked."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN, signal.SIGINT in held


def test_the_child_ignores_interrupts_and_the_parent_receives_them_again():
    assert child_process.run_in_child(interrupts) == (True, False)
    assert interrupts() == (False, False)


def test_a_result_comes_back():
    assert child_process.run_in_child(double, 21) == 42


@pytest.mark.parametrize("redirected", [">/dev/full 2>/dev/full", "> >(true) 2> >(true)", "2>&-"])
def test_the_child_does_not_depend_on_whether_its_messages_can_be_written(tmp_path, redirected):
    code = (
        "from components import standard_error\n"
        "with standard_error.for_messages():\n"
        "    from pathlib import Path\n"
        "    from components import child_process\n"
        "    from tests.components.test_child_process import say\n"
        f"    Path({str(tmp_path / 'answer')!r}).write_text(child_process.run_in_child(say))"
    )
    command = f"{shlex.join([sys.executable, '-c', code])} {redirected}"
    assert subprocess.run(["bash", "-c", command], cwd=Path(__file__).parents[2]).returncode == 0
    assert (tmp_path / "answer").read_text() == "done"


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("component", ComponentError, "loss.gamma: found -1"),
        ("other", RuntimeError, "ZeroDivisionError: nothing to divide by"),
        ("killed", ComponentError, "out of memory"),
    ],
)
def test_errors_and_deaths_are_reported(kind, error, message):
    with pytest.raises(error, match=message):
        child_process.run_in_child(fail, kind)


@pytest.mark.parametrize(("kind", "seconds"), [("stoppable", 5), ("asleep", 5), ("deaf", 9)])
def test_the_child_of_an_interrupted_parent_saves_what_it_can_and_ends(tmp_path, kind, seconds):
    stopped = []

    def interrupt():
        while not (tmp_path / "pid").exists():
            time.sleep(0.05)
        time.sleep(0.3)
        stopped.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        child_process.run_in_child(work, tmp_path, kind)
    assert time.monotonic() - stopped[0] < seconds
    assert (tmp_path / "checkpoint").exists() == (kind == "stoppable")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


INTERRUPTED = """
import os, signal, threading
from components.child_process import run_in_child

threading.Timer(0.15, os.killpg, (0, signal.SIGINT)).start()  # the child's Python is starting then
try:
    run_in_child(abs, -1)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_of_the_group_while_the_child_starts_gives_no_traceback():
    code = [sys.executable, "-c", INTERRUPTED]
    ended = subprocess.run(code, capture_output=True, text=True, start_new_session=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


def test_a_prepared_process_does_the_next_work_and_no_other():
    child_process.prepare()
    child_process.prepare()  # the second call starts no further process
    first = child_process.run_in_child(os.getpid)
    assert first not in (child_process.run_in_child(os.getpid), os.getpid())


def test_a_prepared_process_that_died_is_named():
    child_process.prepare()
    (prepared,) = multiprocessing.active_children()
    prepared.kill()
    prepared.join()
    with pytest.raises(child_process.ChildDied, match="out of memory"):
        child_process.run_in_child(double, 21)
    assert child_process.run_in_child(double, 21) == 42


def test_a_prepared_process_that_nothing_uses_is_ended():
    child_process.prepare()
    (unused,) = multiprocessing.active_children()
    child_process.discard_prepared()
    assert not unused.is_alive()
    child_process.discard_prepared()
