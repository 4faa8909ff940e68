"""Times commands that do no work: help, usage errors, a run in which nothing has changed.

python -m benchmarks.command_line [--data-dir DIR] [--rounds 5] [--output FILE]
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

RUN = [sys.executable, "-m", "pipeline.run"]
ANSWERS = {  # name -> (arguments, exit code)
    "--help": (["--help"], 0),
    "usage error: an unknown option": (["--local", "--untill", "Transform"], 2),
    "usage error: an unknown key": (["--local", "--set", "trainer.epoch=3"], 2),
}
# A network that trains well enough for the gate in a minute: its size does not matter to a run that executes nothing.
SETTINGS = [
    "example_gen.dataset=penn_treebank",
    "vocabulary.max_size=1000",
    "model.units=50",
    "loss.augmented=false",
    "trainer.epochs=1",
]


def rows(data_dir: Path | None, rounds: int) -> Iterator[Row]:
    """Yields all rows, each as soon as it is measured.

    Args:
        data_dir: Folder of the Penn Treebank, or None to skip what needs it.
        rounds: How often each command is run; the median counts.

    Raises:
        CommandFailed: If a command ends with another exit code than expected, or the second run is not all cached.
    """
    for name, (arguments, code) in ANSWERS.items():
        seconds = [command.run([*RUN, *arguments], expected=code).seconds for _ in range(rounds)]
        yield Row(name, statistics.median(seconds), "s", 0.4)
    if absent := skipped("all-cached run", data_dir):
        yield from absent
        return
    with tempfile.TemporaryDirectory() as root:
        arguments = ["--local"]
        for setting in (f"pipeline.root={root}", f"example_gen.data_dir={data_dir}", *SETTINGS):
            arguments += ["--set", setting]
        command.run([*RUN, *arguments])
        usages = [command.run([*RUN, *arguments]) for _ in range(3)]
        for usage in usages:
            components = json.loads(usage.output.splitlines()[-1])["components"]
            executed = [name for name, component in components.items() if component["status"] != "cached"]
            if executed:
                raise command.CommandFailed(f"The second run executed {', '.join(executed)}, expected all cached.")
        seconds = statistics.median(usage.seconds for usage in usages)
        yield Row("all-cached run, PTB", seconds, "s", 10)


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5, help="how often each command is run (default: 5)")
    add_arguments(parser)
    options = parser.parse_args()
    publish(rows(options.data_dir, options.rounds), options.output)


if __name__ == "__main__":
    main()
