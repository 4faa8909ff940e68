"""Training on several devices is training on one: the same losses, weights and masks, and every lane's own state."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.models.training.training_run import DROPPED

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """50 steps on 1, 2 and 4 logical CPU devices: {(replicas, what is dropped): arrays}."""
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
        (replicas, dropped): dict(np.load(folder / str(replicas) / f"{replicas}-{dropped}.npz"))
        for replicas in processes
        for dropped in DROPPED
    }


whatever_is_dropped = pytest.mark.parametrize("dropped", DROPPED)
several = pytest.mark.parametrize("replicas", [2, 4])


@whatever_is_dropped
def test_the_clip_is_active_on_most_steps(runs, dropped):
    """Else the comparisons below would not see a clip that each replica does for itself."""
    norms = runs[1, dropped]["gradient_norm"]
    assert len(norms) == 50 and (norms > 1.0).mean() > 0.6


@several
@whatever_is_dropped
def test_replicas_give_the_same_losses(runs, replicas, dropped):
    one, several = runs[1, dropped], runs[replicas, dropped]
    total, of_several = (run["loss"] + 0.65 * 5.0 * run["augmented_loss"] for run in (one, several))
    np.testing.assert_allclose(several["loss"], one["loss"], rtol=1e-5)
    np.testing.assert_allclose(of_several, total, rtol=1e-5)
    np.testing.assert_allclose(several["gradient_norm"], one["gradient_norm"], rtol=1e-4)


@several
@whatever_is_dropped
def test_replicas_give_the_same_weights(runs, replicas, dropped):
    one, several = runs[1, dropped], runs[replicas, dropped]
    for name in (name for name in one if name.startswith("weight")):
        np.testing.assert_allclose(several[name], one[name], atol=1e-4, err_msg=name)
    assert several["spread"] == 0.0  # each replica has the same copy of all weights


@several
@whatever_is_dropped
def test_each_replica_keeps_the_state_of_its_own_lanes(runs, replicas, dropped):
    one, several = runs[1, dropped]["state"], runs[replicas, dropped]["state"]
    np.testing.assert_allclose(several, one, atol=1e-4)
    assert len(np.unique(one.reshape(len(one), -1), axis=0)) == len(one)  # lanes that differ


def test_dropout_changes_what_is_learned(runs):
    assert np.abs(runs[1, "nothing"]["loss"] / runs[1, "hidden states"]["loss"] - 1).max() > 0.01


WORKER_OF_TWO = """
import numpy as np
import tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
from models import windows
from models.fitting import replicas
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
replicas.num_workers, replicas.worker_index = lambda strategy: 2, lambda strategy: 0
data = windows(np.arange(2, 402) % 50, batch_size=4, sequence_length=10)
mine = replicas.lanes_of_this_worker(data, strategy)
read = [strategy.experimental_local_results(window[1]) for window in mine]
assert int(mine.cardinality) == int(data.cardinality()) == len(read) > 1, (mine.cardinality, len(read))
assert all(len(parts) == 2 for parts in read)
"""


def test_an_epoch_of_a_worker_with_two_devices_has_as_many_steps_as_windows():
    done = subprocess.run([sys.executable, "-c", WORKER_OF_TWO], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
