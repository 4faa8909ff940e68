"""Times what surrounds the training step: an epoch as the Trainer runs it, exact evaluation; and the memory of both.

    python -m benchmarks.training_run [--data-dir DIR] [--steps 0] [--output FILE]

The small network (REAL, the default precision) on the Penn Treebank, each part in a process of its own.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import command
from benchmarks.report import Row, add_arguments, publish, skipped

MEMORY_STEPS = 300  # by then every window's shape has been seen; validation and export follow
BAR = {"FORCE_COLOR": "1", "TERM": "xterm"}  # draws the progress bar where there is no terminal


def rows(data_dir: Path, steps: int) -> Iterator[Row]:
    """All rows, each as soon as it is measured."""
    if absent := skipped("training on the Penn Treebank", data_dir):
        yield from absent
        return
    with tempfile.TemporaryDirectory() as root:
        settings = [f"pipeline.root={root}", "example_gen.dataset=penn_treebank", f"example_gen.data_dir={data_dir}"]
        arguments = [argument for setting in settings for argument in ("--set", setting)]
        command.run([sys.executable, "-m", "pipeline.run", "--local", "--until", "Transform", *arguments])
        yield from epoch_rows(measure("epoch", root, steps))
        found = measure("evaluation", root)
        yield Row(
            "exact test evaluation, compilation included", found["first"], "s", 15, note=f"{found['tokens']:,} tokens"
        )
        yield Row("exact test evaluation, once compiled", found["again"], "s")
        peak = measure("memory", root, MEMORY_STEPS)["peak_bytes"]
        yield Row(
            "peak memory of the Trainer's process",
            peak / 1e9,
            "GB",
            1.2,
            note=f"{MEMORY_STEPS} steps, validation, export",
        )


def measure(part: str, root: str, steps: int = 0) -> dict:
    """What a part of `benchmarks.trainer_process` measured."""
    arguments = [part, "--root", root, "--steps", str(steps)]
    process = command.run([sys.executable, "-m", "benchmarks.trainer_process", *arguments], environment=BAR)
    return json.loads(process.output.splitlines()[-1])


def epoch_rows(found: dict) -> Iterator[Row]:
    """The rows of `benchmarks.loop_overhead`'s figures."""
    milliseconds = found["bare"] / found["steps"] * 1e3
    yield Row("bare step of REAL", milliseconds, "ms", note=f"compiled and warmed up in {found['warming_up']:.1f} s")
    note = f"{found['steps']:,} steps"
    yield Row("epoch, validation apart / bare step x steps", found["epoch"] / found["bare"], "", 1.05, note=note)
    ratios = [by_training / bare for by_training, bare in found["stretches"]]
    yield Row("of it, the loop with the progress bar: median of stretches", statistics.median(ratios))
    save, between = statistics.median(found["saves"]), found["checkpoint_seconds"]
    yield Row("a checkpoint", save * 1e3, "ms")
    note = f"one every {between:g} s"
    yield Row("checkpoints' share of the time", 100 * save / (between + save), "%", 2, note=note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--steps", type=int, default=0, help="steps of the epoch (default: 0, all of the train split)")
    add_arguments(parser)
    options = parser.parse_args()
    publish(rows(options.data_dir, options.steps), options.output)


if __name__ == "__main__":
    main()
