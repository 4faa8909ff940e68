"""The real command, ended at any moment and started again: nothing is lost, and no partial output is visible.

See `harness.py`, whose command line tries more of it.
"""

import json
import os

import pytest

from tests.faults.harness import Harness
from tests.faults.plan import FULL_DISK, IN_CI, OUT_OF_MEMORY, PLANNED, WITH_WORKERS
from tests.faults.world import WORKERS

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Harness:
    return Harness(tmp_path_factory.mktemp("faults") / "undisturbed")


def assert_no_problem(harness: Harness, met: int) -> None:
    assert not harness.problems, json.dumps(harness.problems, indent=1)
    assert harness.kills >= met, json.dumps(harness.records, indent=1)


def test_kills_at_chosen_moments_lose_nothing(undisturbed, tmp_path):
    harness = Harness(tmp_path / "killed", undisturbed)
    harness.try_faults([PLANNED[number] for number in IN_CI])
    assert_no_problem(harness, len(IN_CI) - 1)  # files that C++ writes may exist too briefly to be seen


def test_kills_with_beams_workers_lose_nothing(undisturbed, tmp_path):
    harness = Harness(tmp_path / "workers", undisturbed, settings=WORKERS, until="Transform")
    harness.try_faults(WITH_WORKERS[1:3])
    assert_no_problem(harness, 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_full_disk_loses_nothing(undisturbed, tmp_path):
    harness = Harness(tmp_path / "disk", undisturbed)
    harness.try_on_a_small_disk(FULL_DISK[3:6])
    assert_no_problem(harness, 3)


def test_running_out_of_memory_loses_nothing(undisturbed, tmp_path):
    harness = Harness(tmp_path / "memory", undisturbed)
    harness.try_faults(OUT_OF_MEMORY[1:])
    assert_no_problem(harness, 1)
