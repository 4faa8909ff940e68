"""Kills the real command again and again: `python -m tests.faults.harness --kills 60 --seed 1 --output FILE`."""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults import checks
from tests.faults.plan import FULL_DISK, OUT_OF_MEMORY, PLANNED, WITH_WORKERS, Fault, at_random
from tests.faults.world import WORKERS, World, write_corpus

DISK = "64m"
FAULTS_OF_A_ROOT = 12  # random faults of one root; then it runs to the end


class Harness:
    """Kills runs in roots, and compares the roots with an undisturbed one.

    Args:
        folder: Folder that it may write to.
        reference: The harness whose undisturbed run the roots are compared with; None makes one.
        **options: Arguments of `World`, for all roots.
    """

    def __init__(self, folder: Path, reference: "Harness | None" = None, **options):
        self.folder, self.options = folder, options
        self.records: list[dict] = []
        self.made = 0
        self.corpus = folder / "corpus" if reference is None else reference.corpus
        folder.mkdir(exist_ok=True)
        if reference:
            self.shape, self.results, self.seconds = reference.shape, reference.results, reference.seconds
            return
        write_corpus(self.corpus)
        world = self.new_world()
        outcome = world.run()
        if outcome.code:
            raise RuntimeError(f"The undisturbed run ended with {outcome.code}: {outcome.stderr}")
        self.seconds = outcome.seconds
        self.shape, self.results = checks.shape_of(world.root), checks.results(world.root)

    def new_world(self) -> World:
        self.made += 1
        return World(self.folder / f"world-{self.made}", self.corpus, **self.options)

    def try_faults(self, faults: Iterable[Fault]) -> None:
        """Ends the command by each fault in turn, in one root, then lets it finish; records the outcomes."""
        world = self.new_world()
        for fault in faults:
            outcome = world.run(fault)
            problems = checks.after_fault(world.root, fault, outcome, self.shape)
            self._record(fault.action, fault.moment, outcome, problems)
            world.filler.unlink(missing_ok=True)
        self._finish(world)

    def try_on_a_small_disk(self, faults: Iterable[Fault]) -> None:
        """Does the same with a root on a disk of size `DISK`, which only the superuser can make."""
        place = self.folder / f"world-{self.made + 1}"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", place], check=True)
        try:
            self.try_faults(faults)
        finally:
            subprocess.run(["umount", place], check=True)

    def _finish(self, world: World) -> None:
        """Runs the command undisturbed, and checks the root's results."""
        outcome = world.run()
        problems = [] if outcome.code == 0 else [f"the rerun ended with {outcome.code}: {outcome.stderr[-1500:]}"]
        if outcome.code == 0:
            problems += checks.of_lineage(world.root) + checks.of_outputs(world.root, self.shape)
            problems += checks.left_over(world.folder, world.root) + checks.unrecorded(world.root)
            found = checks.results(world.root)
            names = [name for name in self.results if world.until is None or "weights" not in name]
            problems += [f"{name} differs" for name in names if found.get(name) != self.results[name]]
        self._record("rerun", "to the end", outcome, problems)

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
        """Number of faults that happened."""
        return sum(bool(record["met"]) for record in self.records)

    @property
    def problems(self) -> list[dict]:
        return [record for record in self.records if record["problems"]]


def full_run(harness: Harness, kills: int, seed: int) -> None:
    """Tries the planned faults, then random ones until `kills` have happened."""
    for faults in (PLANNED, OUT_OF_MEMORY):
        harness.try_faults(faults)
    if os.geteuid() == 0:
        harness.try_on_a_small_disk(FULL_DISK)
    workers = Harness(harness.folder / "workers", harness, settings=WORKERS, until="Transform")
    workers.records = harness.records
    workers.try_faults(WITH_WORKERS)
    generator = random.Random(seed)
    while harness.kills < kills:
        number = min(FAULTS_OF_A_ROOT, kills - harness.kills)
        harness.try_faults([at_random(generator) for _ in range(number)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 1 if a check failed."""
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
