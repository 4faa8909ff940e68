"""Runs the real command on a small corpus with a fault, and watches it until all its processes have ended."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.plan import Fault

REPOSITORY = Path(__file__).parents[2]
RUN_SECONDS, STOP_SECONDS, ORPHAN_SECONDS = 600, 10, 5
PLACES = ("in the morning", "after the storm", "by the river", "near the old mill")
SETTINGS = {
    "example_gen.dataset": "text_files",
    "model.units": 16,
    "model.num_layers": 1,
    "trainer.epochs": 1,
    "trainer.checkpoint_seconds": 0.2,
    "trainer.precision": "float32",
    "trainer.batch_size": 10,
    "trainer.sequence_length": 10,
    "tuner.enabled": "true",
    "tuner.algorithm": "grid",
    "tuner.max_trials": 2,
    "tuner.epochs": 1,
    "tuner.space": "[{name: learning_rate, kind: choice, values: [0.5, 1.0]}]",
    "example_validator.max_overlap": 1,
    "infra_validator.max_latency_ms": 0,
}
WORKERS = {"beam.args": '["--direct_running_mode=multi_processing", "--direct_num_workers=2"]'}


def write_corpus(folder: Path) -> Path:
    """Three splits of short English sentences, 6,000 tokens in all."""
    generator = random.Random(7)
    nouns, verbs = ("captain", "engineer", "child", "bird", "farmer"), ("found", "followed", "remembered", "lost")
    things = ("map of the city", "letter", "golden key", "road home", "song")
    folder.mkdir()
    for split, lines in (("train", 400), ("valid", 60), ("test", 60)):
        text = ""
        for _ in range(lines):
            noun, verb, thing, place = map(generator.choice, (nouns, verbs, things, PLACES))
            text += f"The {generator.choice(('old', 'young', 'small'))} {noun} {verb} a {thing} {place} .\n"
        (folder / f"{split}.txt").write_text(text)
    return folder


@dataclass
class World:
    """A root, and the command that runs in it.

    Attributes:
        folder: Folder that the test may write to; the root is `<folder>/root`.
        corpus: Folder that `write_corpus` made.
        settings: Configuration values besides `SETTINGS`.
        until: The value of `--until`; None for none.
    """

    folder: Path
    corpus: Path
    settings: dict = field(default_factory=dict)
    until: str | None = None

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def notes(self) -> Path:
        """Folder of the command's output and the fault's mark, outside `folder`, whose disk may be full."""
        return self.folder.with_name(f"{self.folder.name}-notes")

    @property
    def filler(self) -> Path:
        """File that fills the disk."""
        return self.folder / "filler"

    def start(self, fault: Fault | None = None) -> subprocess.Popen:
        """Starts the command in its own session; its output goes to files."""
        for folder in (self.notes, self.folder / "temporary"):
            folder.mkdir(parents=True, exist_ok=True)
        self._done.unlink(missing_ok=True)
        values = {"pipeline.root": self.root, "example_gen.data_dir": self.corpus, **SETTINGS, **self.settings}
        command = [sys.executable, "-m", "pipeline.run", "--local", *(["--until", self.until] if self.until else [])]
        command += [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TMPDIR": str(self.folder / "temporary")}
        environment["PYTHONPATH"] = f"{Path(__file__).with_name('injection')}{os.pathsep}{REPOSITORY}"
        environment["FAULT_FILLER"] = str(self.filler)
        if fault and fault.match:
            names = ("match", "count", "action", "later")
            if fault.action == "memory limit":  # else training has 2 GiB of addresses in reserve
                environment["MALLOC_TRIM_THRESHOLD_"] = "131072"
            environment["FAULT"] = json.dumps({n: getattr(fault, n) for n in names} | {"done": str(self._done)})

        with (self.notes / "out").open("wb") as out, (self.notes / "err").open("wb") as err:
            return subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdout=out, stderr=err, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip

    def run(self, fault: Fault | None = None) -> "Outcome":
        """Runs the command with the fault, and waits until all its processes have ended."""
        begin = time.monotonic()
        process = self.start(fault)
        try:
            met_at = self._watch(process, fault, begin)
            process.wait()
            ended = time.monotonic()
            left = self._wait_for_children(process.pid, ended)
        finally:
            for pid in [process.pid, *in_session(process.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        stderr = (self.notes / "err").read_text(errors="replace")
        return Outcome(
            code=process.returncode,
            stderr=stderr,
            met=self._done.read_text() if self._done.exists() else "",
            seconds=round(ended - begin, 2),
            stop_seconds=None if met_at is None else round(ended - met_at, 2),
            orphans=left,
        )

    def _watch(self, process: subprocess.Popen, fault: Fault | None, begin: float) -> float | None:
        """Causes the fault if the harness has to do that; returns when it happened."""
        met_at = None
        while process.poll() is None:
            now = time.monotonic()
            if met_at is None and fault is not None:
                if self._done.exists():
                    met_at = now
                elif (fault.seen and self._seen(fault.seen)) or (fault.after is not None and now - begin > fault.after):
                    self._done.write_text(fault.moment)
                    met_at = now
                    _send(process.pid, fault.action)
            limit = begin + RUN_SECONDS if met_at is None else met_at + RUN_SECONDS
            if now > limit or (met_at and fault.exit_code and now > met_at + 3 * STOP_SECONDS):
                process.kill()
            time.sleep(0.002 if fault and fault.seen else 0.02)
        return met_at or (time.monotonic() if self._done.exists() else None)

    def _seen(self, pattern: str) -> bool:
        with contextlib.suppress(OSError):  # folders may be removed meanwhile
            return any(path.is_file() for path in self.root.glob(pattern))
        return False

    def _wait_for_children(self, session: int, ended: float) -> float | None:
        """Returns the seconds until no process of the command was left; None if that took too long."""
        while in_session(session):
            if time.monotonic() - ended > ORPHAN_SECONDS:
                return None
            time.sleep(0.02)
        return round(time.monotonic() - ended, 2)

    @property
    def _done(self) -> Path:
        return self.notes / "fault"


@dataclass
class Outcome:
    """How a command ended.

    Attributes:
        code: Exit code; negative: the signal.
        stderr: Its standard error.
        met: The event at which the fault happened; empty if it did not happen.
        seconds: Seconds from its start to its end.
        stop_seconds: Seconds from the fault to its end.
        orphans: Seconds that its last process outlived it; None if that is more than `ORPHAN_SECONDS`.
    """

    code: int
    stderr: str
    met: str
    seconds: float
    stop_seconds: float | None
    orphans: float | None


def in_session(session: int) -> list[int]:
    """Returns the processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def _send(pid: int, action: str) -> None:
    number = {"kill": signal.SIGKILL, "SIGT": signal.SIGTERM, "Ctrl": signal.SIGINT}[action[:4]]
    (os.killpg if action.endswith("group") else os.kill)(pid, number)
