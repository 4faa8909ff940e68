"""Kills the real command again and again: `python -m tests.faults.harness --kills 60 --seed 1 --output FILE`."""

import argparse
import contextlib
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults import checks
from tests.faults.plan import PLANNED, Fault, at_random
from tests.faults.world import World, clear, write_corpus

FAULTS_OF_A_ROOT = 12  # at random; then it may come to its end


class Harness:
    """Roots that are killed, and what a root that never was has.

    Args:
        folder: What it may write to.
        **options: Of `World`, for all roots.
    """

    def __init__(self, folder: Path, **options):
        self.folder, self.options = folder, options
        self.corpus = folder / "corpus"
        if not self.corpus.exists():
            write_corpus(self.corpus)
        self.made = 0
        self.records: list[dict] = []
        world = self.new_world()
        outcome = world.run()
        if outcome.code:
            raise RuntimeError(f"The undisturbed run ended with {outcome.code}: {outcome.said}")
        self.seconds = outcome.seconds
        self.shape, self.results = checks.shape_of(world.root), checks.results(world.root)
        clear(world.folder)

    def new_world(self) -> World:
        self.made += 1
        return World(self.folder / f"world-{self.made}", self.corpus, **self.options)

    def try_faults(self, world: World, faults: Iterable[Fault]) -> None:
        """Ends the command by each fault in turn, in one root, then lets it come to its end; records what it saw."""
        for fault in faults:
            outcome = world.run(fault)
            problems = checks.after_fault(world.root, fault, outcome, self.shape)
            self._record(fault.action, fault.moment, outcome, problems)
            if outcome.code == 0:
                break  # nothing is left to be killed in
        self.finish(world)

    def finish(self, world: World) -> None:
        """The last run in a root, undisturbed, and what came of all."""
        outcome = world.run()
        problems = [] if outcome.code == 0 else [f"the rerun ended with {outcome.code}: {outcome.said[-1500:]}"]
        if outcome.code == 0:
            problems += checks.of_lineage(world.root) + checks.of_outputs(world.root, self.shape)
            problems += checks.left_over(world.folder, world.root) + checks.unrecorded(world.root)
            found = checks.results(world.root)
            problems += [f"{name} differs" for name in self.results if found.get(name) != self.results[name]]
        self._record("rerun", "to the end", outcome, problems)
        if not problems:
            clear(world.folder)

    def _record(self, action, moment, outcome, problems) -> None:
        record = {
            "action": action,
            "moment": moment,
            "met": outcome.met.replace(str(self.folder), "")[:200],
            "exit": outcome.code,
            "seconds": outcome.seconds,
            "stop_seconds": outcome.stop_seconds,
            "orphans_seconds": outcome.orphans,
            "problems": problems,
        }
        self.records.append(record)
        print(json.dumps(record), file=sys.stderr, flush=True)

    @property
    def kills(self) -> int:
        """Faults that were met."""
        return sum(bool(record["met"]) for record in self.records)

    @property
    def problems(self) -> list[dict]:
        return [record for record in self.records if record["problems"]]


def full_run(harness: Harness, kills: int, seed: int) -> None:
    """The planned faults, then random ones until there were `kills`."""
    harness.try_faults(harness.new_world(), PLANNED)
    generator = random.Random(seed)
    while harness.kills < kills:
        number = min(FAULTS_OF_A_ROOT, kills - harness.kills)
        harness.try_faults(harness.new_world(), [at_random(generator) for _ in range(number)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.harness", description=__doc__)
    parser.add_argument("--kills", type=int, default=60, help="how many faults must be met")
    parser.add_argument("--seed", type=int, default=1, help="of the random ones")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    parsed = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True)))
        harness = Harness(folder)
        try:
            full_run(harness, parsed.kills, parsed.seed)
        finally:
            record = {"seed": parsed.seed, "kills": harness.kills, "problems": len(harness.problems)}
            record |= {"undisturbed_seconds": harness.seconds, "records": harness.records}
            parsed.output.write_text(json.dumps(record, indent=1) + "\n")
    return 1 if harness.problems else 0


if __name__ == "__main__":
    sys.exit(main())
