"""Training on several devices is training on one: the same losses, weights and masks, and every lane's own state."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """50 steps on 1, 2 and 4 logical CPU devices: {(replicas, dropout): arrays}."""
    folder = tmp_path_factory.mktemp("replicas")
    command = [sys.executable, "-m", "tests.models.training.training_run", "steps"]
    processes = {}
    for replicas in (1, 2, 4):
        (folder / str(replicas)).mkdir()
        processes[replicas] = subprocess.Popen(
            [*command, folder / str(replicas), str(replicas)],
            cwd=ROOT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
    for process in processes.values():
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors[-3000:]
    return {
        (replicas, dropout): dict(np.load(folder / str(replicas) / f"{replicas}-{dropout}.npz"))
        for replicas in processes
        for dropout in (0.0, 0.5)
    }


with_and_without_dropout = pytest.mark.parametrize("dropout", [0.0, 0.5])
several = pytest.mark.parametrize("replicas", [2, 4])


@with_and_without_dropout
def test_the_clip_is_active_on_most_steps(runs, dropout):
    """Else the comparisons below would not see a clip that each replica does for itself."""
    norms = runs[1, dropout]["gradient_norm"]
    assert len(norms) == 50 and (norms > 1.0).mean() > 0.6


@several
@with_and_without_dropout
def test_replicas_give_the_same_losses(runs, replicas, dropout):
    one, several = runs[1, dropout], runs[replicas, dropout]
    total, of_several = (run["loss"] + 0.65 * 5.0 * run["augmented_loss"] for run in (one, several))
    np.testing.assert_allclose(several["loss"], one["loss"], rtol=1e-5)
    np.testing.assert_allclose(of_several, total, rtol=1e-5)
    np.testing.assert_allclose(several["gradient_norm"], one["gradient_norm"], rtol=1e-4)


@several
@with_and_without_dropout
def test_replicas_give_the_same_weights(runs, replicas, dropout):
    one, several = runs[1, dropout], runs[replicas, dropout]
    for name in (name for name in one if name.startswith("weight")):
        np.testing.assert_allclose(several[name], one[name], atol=1e-4, err_msg=name)
    assert several["spread"] == 0.0  # each replica has the same copy of all weights


@several
@with_and_without_dropout
def test_each_replica_keeps_the_state_of_its_own_lanes(runs, replicas, dropout):
    one, several = runs[1, dropout]["state"], runs[replicas, dropout]["state"]
    np.testing.assert_allclose(several, one, atol=1e-4)
    assert len(np.unique(one.reshape(len(one), -1), axis=0)) == len(one)  # lanes that differ


def test_dropout_changes_what_is_learned(runs):
    assert np.abs(runs[1, 0.0]["loss"] / runs[1, 0.5]["loss"] - 1).max() > 0.01
