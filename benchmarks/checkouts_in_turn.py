"""Times the epochs of two checkouts in turn: what a change costs a training, on a machine whose speed varies.

    python -m benchmarks.checkouts_in_turn OLD NEW --data-dir DIR [--epochs 2] [--set KEY=VALUE ...] [--output FILE]

OLD and NEW are folders with a checkout each, for example of `git worktree add OLD COMMIT`; both run in this
environment. Both run the pipeline up to the Trainer; they train in turns of some seconds, while the other is stopped.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, add_arguments, publish, skipped

TURN = 4.0  # seconds
EPOCH = re.compile(r"epoch +(\d+)/.* valid +[\d,.]+ ")  # the line at an epoch's end; other lines report progress


class TrainingProcess:
    """A checkout's Trainer that runs in turns.

    Args:
        checkout: The checkout's folder.
        root: Folder that the pipeline writes to.
        settings: Arguments `--set KEY=VALUE` of the run.

    Attributes:
        active: Seconds in which it ran, before the current turn.
        epochs: (seconds in which it ran, seconds of processor time) of each epoch.
        peak_bytes: The largest resident set of one of its processes.
    """

    def __init__(self, checkout: Path, root: Path, settings: list[str]):
        self._run = [sys.executable, "-m", "pipeline.run", "--local", *settings, "--set", f"pipeline.root={root}"]
        self._where = {"cwd": checkout, "env": os.environ | {"PYTHONPATH": str(checkout), "CUDA_VISIBLE_DEVICES": ""}}
        self.active, self.epochs, self.peak_bytes = 0.0, [], 0
        self._resumed: float | None = None  # the time at which its turn began; None while it is stopped
        self._last = (0.0, 0.0)

    def prepare(self) -> None:
        """Runs the components before the Trainer."""
        subprocess.run([*self._run, "--until", "Transform"], check=True, stderr=subprocess.DEVNULL, **self._where)

    def start(self) -> None:
        """Starts the Trainer, and a thread that reads its progress."""
        self._process = subprocess.Popen(
            [*self._run, "--until", "Trainer"],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **self._where,
        )
        self._resumed = time.monotonic()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stderr:
            if epoch_end := EPOCH.match(line):
                now = (self._clock(), self._cpu())
                self.epochs.append(tuple(a - b for a, b in zip(now, self._last, strict=True)))
                self._last = now
                print(self._where["cwd"], epoch_end[0], *(f"{x:.1f}" for x in self.epochs[-1]), file=sys.stderr)
            elif line.split()[:2] == ["Trainer", "started"]:
                self._last = (self._clock(), self._cpu())

    def _clock(self) -> float:
        """Seconds in which it ran."""
        resumed = self._resumed
        return self.active + (time.monotonic() - resumed if resumed is not None else 0.0)

    def _cpu(self) -> float:
        """Seconds of processor time of all its processes, since a child process trains."""
        ticks = sum(int(fields[11]) + int(fields[12]) for _, fields in self._processes())
        return ticks / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> Iterator[tuple[Path, list[str]]]:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            if int(fields[3]) == self._process.pid:  # of the session that `start` made
                yield folder, fields

    def take_turn(self, seconds: float) -> bool:
        """Lets it run for a while, then stops it.

        Args:
            seconds: Length of the turn.

        Returns:
            Whether it has not ended yet.
        """
        if self._process.poll() is not None:
            return False
        self._resumed = time.monotonic()
        os.killpg(self._process.pid, signal.SIGCONT)
        time.sleep(seconds)
        self.pause()
        return self._process.poll() is None

    def pause(self) -> None:
        """Stops all its processes, and reads their peak memory."""
        for folder, _ in self._processes():
            if peak := re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text()):
                self.peak_bytes = max(self.peak_bytes, int(peak[1]) * 1024)
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGSTOP)
        self.active, self._resumed = self._clock(), None

    def end(self) -> None:
        """Waits for its end.

        Raises:
            RuntimeError: If it failed.
        """
        self._reader.join()
        if self._process.wait() != 0:
            raise RuntimeError(f"The run in {self._where['cwd']} ended with status {self._process.returncode}.")


def rows(old: Path, new: Path, data_dir: Path, epochs: int, settings: list[str]) -> Iterator[Row]:
    """Yields the rows: ratios of the two checkouts, new / old.

    Args:
        old, new: The checkouts' folders.
        data_dir: Folder of the Penn Treebank.
        epochs: Epochs to train.
        settings: Further settings, KEY=VALUE.
    """
    if absent := skipped("training on the Penn Treebank", data_dir):
        yield from absent
        return
    settings = [
        f"example_gen.data_dir={data_dir.resolve()}",
        "example_gen.dataset=penn_treebank",
        f"trainer.epochs={epochs}",
        *settings,
    ]
    arguments = [part for setting in settings for part in ("--set", setting)]
    with tempfile.TemporaryDirectory() as folder:
        trainings = [TrainingProcess(where.resolve(), Path(folder, name), arguments) for name, where in
                     (("old", old), ("new", new))]  # fmt: skip
        for training in trainings:
            training.prepare()
        for training in trainings:
            training.start()
            training.pause()
        more = [True, True]
        while any(more):
            for index, training in enumerate(trainings):
                if more[index]:
                    more[index] = training.take_turn(TURN)
        for training in trainings:
            training.end()
    before, after = trainings
    for number, ((old_wall, old_cpu), (new_wall, new_cpu)) in enumerate(zip(before.epochs, after.epochs, strict=True)):
        note = f"{new_wall:.1f} / {old_wall:.1f} s"
        yield Row(f"epoch {number + 1}, new / old", new_wall / old_wall, "", 1.02 if number else None, note=note)
        yield Row(f"epoch {number + 1}, processor time, new / old", new_cpu / old_cpu)
    peaks = f"{after.peak_bytes / 1e9:.3f} / {before.peak_bytes / 1e9:.3f} GB"
    yield Row("peak memory, new / old", after.peak_bytes / before.peak_bytes, "", 1.05, note=peaks)


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("old", type=Path, help="the folder of a checkout")
    parser.add_argument("new", type=Path, help="the folder of another")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for pipeline.run")
    add_arguments(parser)
    options = parser.parse_args()
    publish(rows(options.old, options.new, options.data_dir, options.epochs, options.set), options.output)


if __name__ == "__main__":
    main()
