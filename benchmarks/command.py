"""Runs a command and measures it: wall and processor time, and the most memory that its processes held together."""

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.1


class CommandFailed(Exception):
    """A measured command did not end with the expected exit code."""


@dataclass(frozen=True)
class Usage:
    """The output of a command, and the time and memory that it used.

    Attributes:
        output: Standard output.
        seconds: Wall time from start to end.
        cpu_seconds: User and system time of all its processes.
        peak_bytes: The largest sum of its processes' resident memory in the samples; pages that several processes share
            are counted in each. 0 if memory was not sampled.
    """

    output: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(
    command: Sequence[str], expected: int = 0, memory: bool = False, environment: Mapping[str, str] | None = None
) -> Usage:
    """Runs `command` to its end.

    Args:
        command: Program and arguments.
        expected: The expected exit code. Default 0.
        memory: Whether to sample the memory, which takes some processor time; Linux only. Default False.
        environment: Variables to add to the environment. Default None: no others.

    Returns:
        Output, time and memory of the command.

    Raises:
        CommandFailed: If it ends with another exit code; the message has the end of its standard error.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        before, started, peak = _cpu_seconds(), time.perf_counter(), 0
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=os.environ | (environment or {}))
        while memory and process.poll() is None:
            peak = max(peak, sum(map(_memory, _tree(process.pid))))
            time.sleep(SAMPLE_SECONDS)
        exit_code = process.wait()
        seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - before
        output.seek(0)
        errors.seek(0)
        if exit_code != expected:
            message = errors.read().decode(errors="replace")[-2000:]
            raise CommandFailed(f"{' '.join(command)} ended with {exit_code}, expected {expected}:\n{message}")
        return Usage(output.read().decode(), seconds, cpu_seconds, peak)


def _cpu_seconds() -> float:
    """Processor time of all processes that this one has waited for, and of their children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tree(pid: int) -> Iterator[int]:
    """Yields the ids of a process and of all processes that it started."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in pids:
            yield from _tree(int(child))


def _memory(pid: int) -> int:
    """Bytes of a process's resident memory; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()
