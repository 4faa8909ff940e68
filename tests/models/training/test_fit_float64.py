"""`fit` with Keras's SGD in float64 is the paper's training, to nine digits, on one device and on two."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.models import reference
from tests.models.training.float64_run import BATCH, CLIP, RATE, STEPS, TIME, text

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


class Network(reference.ReferenceModel):
    """The reference with weights from a file."""

    def __init__(self, weights):
        self.tied, self.projected, self.num_layers, self.units = True, False, 2, weights[0].shape[1]
        self.penalties = 0.0, 0.0
        self.weights = [w.astype(np.float64) for w in weights]


@pytest.mark.parametrize("replicas, dropout", [(1, 0.0), (2, 0.0), (2, 0.5)])
def test_twenty_steps_are_those_of_numpy(tmp_path, replicas, dropout):
    subprocess.run(
        [sys.executable, "-m", "tests.models.training.float64_run", str(replicas), str(dropout), tmp_path],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        check=True,
        timeout=600,
        capture_output=True,
    )
    found = np.load(tmp_path / "result.npz")
    count = sum(name.startswith("before") for name in found.files)
    network = Network([found[f"before {i}"] for i in range(count)])
    inputs, targets = (x.reshape(BATCH, STEPS, TIME) for x in reference.lanes(text(), BATCH))
    state = network.zero_state(BATCH)
    for step in range(STEPS):
        window = inputs[:, step], targets[:, step], state, found["masks"][step]
        gradients = [g / BATCH for g in network.gradients(*window, True, 5.0, 0.65, True)]
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        cross_entropy, _, state = network.window(*window, network.weights[0], 5.0)
        assert found["losses"][step] == pytest.approx(cross_entropy.mean(), rel=1e-9)
        assert found["norms"][step] == pytest.approx(norm, rel=1e-9)
        scale = RATE * min(1.0, CLIP / norm)
        network.weights = [w - scale * g for w, g in zip(network.weights, gradients, strict=True)]
    assert (found["norms"] > CLIP).any()  # else the clip is not seen
    for i, expected in enumerate(network.weights):
        np.testing.assert_allclose(found[f"after {i}"], expected, atol=1e-9)
