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
    """A measured command did not end as it should."""


@dataclass(frozen=True)
class Usage:
    """What a command said and used.

    Attributes:
        output: Standard output.
        seconds: From start to end.
        cpu_seconds: User and system time of all its processes.
        peak_bytes: The largest sum of its processes' resident memory found in samples, pages that several share
            counted in each; 0 where it was not asked for.
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
        expected: The exit code that it should have.
        memory: Whether to sample the memory, which takes a little of the machine; Linux only.

    Raises:
        CommandFailed: If it ends otherwise; the message has what it said last.
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
            said = errors.read().decode(errors="replace")[-2000:]
            raise CommandFailed(f"{' '.join(command)} ended with {exit_code}, not {expected}:\n{said}")
        return Usage(output.read().decode(), seconds, cpu_seconds, peak)


def _cpu_seconds() -> float:
    """Of all processes that this one has waited for, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in found:
            yield from _tree(int(child))


def _memory(pid: int) -> int:
    """Bytes of a process's resident memory; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()
