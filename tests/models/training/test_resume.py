"""A training that was killed resumes from its last checkpoint and ends as if nothing had happened, bit for bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
REPLICAS = "2"
# What each process does to itself, the signal that kills it, and where (epoch, steps done in it) the next one starts.
KILLS = [
    ("killed while writing in epoch 2", signal.SIGXFSZ, "2 39"),
    ("killed after epoch 2", signal.SIGKILL, "3 0"),
]


def start(folder, *end):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.models.training.training_run", "train", folder, REPLICAS, *end],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, status=0):
    """Waits for a process; where (epoch, steps done in it) it started."""
    output, errors = process.communicate(timeout=600)
    assert process.returncode == status, errors[-3000:]
    return output.strip().removeprefix("started at ")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The results of a training that was killed twice and stopped once and of one that was not, and its starts."""
    whole, killed = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("killed")
    uninterrupted = start(whole)
    starts, temporary = [], []
    for kill, sent, _ in KILLS:
        starts.append(finish(start(killed, kill), -sent))
        temporary.append(sorted(path.name for path in (killed / "checkpoints").glob(".*")))
    starts.append(finish(start(killed, "stopped in epoch 3")))
    assert not (killed / "result.npz").exists()
    starts.append(finish(start(killed)))
    finish(uninterrupted)
    return dict(np.load(killed / "result.npz")), dict(np.load(whole / "result.npz")), starts, temporary


def test_every_start_resumes_from_the_last_checkpoint(runs):
    assert runs[2] == ["1 0", *(start for *_, start in KILLS), "3 27"]


def test_the_newest_good_checkpoint_survives_a_kill_during_writing(runs):
    *_, starts, temporary = runs
    assert temporary[0] == [".latest.npz"]  # half of a file was left behind
    assert starts[1] == "2 39"


def test_weights_state_and_optimizer_are_the_same_bit_for_bit(runs):
    killed, whole, *_ = runs
    names = [name for name in whole if name.startswith(("weight", "last"))]
    assert len(names) == 4 + 1 + 6  # weights; carried state; weights, steps and learning rate
    for name in names:
        np.testing.assert_array_equal(killed[name], whole[name], err_msg=name)


def test_history_and_best_epoch_are_the_same(runs):
    killed, whole, *_ = runs
    assert whole["history"].shape[0] == 3
    np.testing.assert_array_equal(killed["history"], whole["history"])
    assert killed["best_epoch"] == whole["best_epoch"]
