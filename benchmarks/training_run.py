"""Times an epoch as the Trainer runs it and the exact evaluation, and measures the memory of both.

    python -m benchmarks.training_run [--data-dir DIR] [--steps 0] [--output FILE]

The small network (REAL, the default precision) on the Penn Treebank, each part in a separate process.
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
BAR = {"FORCE_COLOR": "1", "TERM": "xterm"}  # so that the progress bar is drawn without a terminal


def rows(data_dir: Path | None, steps: int) -> Iterator[Row]:
    """Yields all rows, each as soon as it is measured.

    Args:
        data_dir: Folder of the Penn Treebank, or None to skip what needs it.
        steps: Steps of the epoch; 0 for the whole train split.
    """
    if absent := skipped("training on the Penn Treebank", data_dir):
        yield from absent
        return
    with tempfile.TemporaryDirectory() as root:
        settings = [f"pipeline.root={root}", "example_gen.dataset=penn_treebank", f"example_gen.data_dir={data_dir}"]
        arguments = [argument for setting in settings for argument in ("--set", setting)]
        command.run([sys.executable, "-m", "pipeline.run", "--local", "--until", "Transform", *arguments])
        yield from epoch_rows(measure("epoch", root, steps))
        figures = measure("evaluation", root)
        note = f"{figures['tokens']:,} tokens"
        yield Row("exact test evaluation, compilation included", figures["first"], "s", 15, note=note)
        yield Row("exact test evaluation, once compiled", figures["again"], "s")
        peak = measure("memory", root, MEMORY_STEPS)["peak_bytes"]
        yield Row(
            "peak memory of the Trainer's process",
            peak / 1e9,
            "GB",
            1.2,
            note=f"{MEMORY_STEPS} steps, validation, export",
        )


def measure(part: str, root: str, steps: int = 0) -> dict:
    """Runs a part of `benchmarks.trainer_process`.

    Args:
        part: "epoch", "evaluation" or "memory".
        root: A root in which the pipeline ran up to Transform.
        steps: Steps of the epoch; 0 (default) for the whole train split.

    Returns:
        The part's figures.
    """
    arguments = [part, "--root", root, "--steps", str(steps)]
    process = command.run([sys.executable, "-m", "benchmarks.trainer_process", *arguments], environment=BAR)
    return json.loads(process.output.splitlines()[-1])


def epoch_rows(figures: dict) -> Iterator[Row]:
    """Yields the rows of an epoch.

    Args:
        figures: What `benchmarks.loop_overhead.measure` returned.
    """
    milliseconds = figures["bare"] / figures["steps"] * 1e3
    yield Row("bare step of REAL", milliseconds, "ms", note=f"compiled and warmed up in {figures['warming_up']:.1f} s")
    note = f"{figures['steps']:,} steps"
    yield Row("epoch, validation apart / bare step x steps", figures["epoch"] / figures["bare"], "", 1.05, note=note)
    ratios = [by_training / bare for by_training, bare in figures["stretches"]]
    yield Row("of it, the loop with the progress bar: median of stretches", statistics.median(ratios))
    save, between = statistics.median(figures["saves"]), figures["checkpoint_seconds"]
    yield Row("a checkpoint", save * 1e3, "ms")
    note = f"one every {between:g} s"
    yield Row("checkpoints' share of the time", 100 * save / (between + save), "%", 2, note=note)


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--steps", type=int, default=0, help="steps of the epoch (default: 0, all of the train split)")
    add_arguments(parser)
    options = parser.parse_args()
    publish(rows(options.data_dir, options.steps), options.output)


if __name__ == "__main__":
    main()
