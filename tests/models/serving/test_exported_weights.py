"""Weights of fewer bits: how close they stay, and what they save."""

import numpy as np
import pytest
import tensorflow as tf

from models.serving import export
from models.serving.exported_weights import ExportedWeights
from models.text.tokenizer import Tokenizer
from models.training.warm_start import warm_start
from tests.models.serving.exported import make_model

WORDS = ["<unk>", "<eos>", *(f"w{i}" for i in range(1998))]
NETWORKS = {"tied": {}, "untied": {"tie_embeddings": False, "output_bias": True}, "projected": {"embedding_units": 24}}
TEXTS = ["w1 w2 w3\nw4", "", "w5 " * 300]


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS)
def exports(request, tmp_path_factory):
    """The folder of each export, and their model."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = Tokenizer("whitespace", False, False, folder / "vocabulary.txt")
    model = make_model(WORDS, units=32, init_scale=0.3, **request.param)
    for dtype in ("float32", "float16", "int8"):
        export.export(model, tokenizer, folder / dtype, {}, dtype)
    return folder, model


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.005), ("int8", 0.05)])
def test_smaller_weights_give_almost_the_same_numbers(exports, dtype, tolerance):
    folder, _ = exports
    exact, small = (tf.saved_model.load(str(folder / name)).signatures["score"] for name in ("float32", dtype))
    exact, small = (score(text=tf.constant(TEXTS))["token_log_probabilities"].numpy() for score in (exact, small))
    assert 0 < np.abs(exact - small).max() < tolerance


def test_float32_is_the_model_itself(exports):
    folder, model = exports
    step = tf.saved_model.load(str(folder / "float32")).signatures["step"]
    ids, state = tf.constant([5, 900], tf.int64), tf.random.stateless_uniform([2, 2, 2, 32], [1, 2], -1.0)
    found = step(token_ids=ids, state=state)
    hidden, expected_state = model.hidden_states(ids[:, None], state)
    np.testing.assert_allclose(found["log_probabilities"], tf.nn.log_softmax(model.logits(hidden[:, 0])), atol=1e-5)
    np.testing.assert_allclose(found["state"], expected_state, atol=1e-6)


@pytest.mark.parametrize(("dtype", "share"), [("float16", 0.51), ("int8", 0.31)])
def test_the_files_shrink_with_the_type(exports, dtype, share):
    folder, _ = exports

    def size(name):
        return sum(file.stat().st_size for file in (folder / name / "variables").glob("*.data*"))

    assert size(dtype) < share * size("float32")


def test_int8_is_within_half_a_step_of_each_row(exports):
    _, model = exports
    stored = ExportedWeights(model, "int8")
    for place, weight in enumerate(model.trainable_variables):
        if len(weight.shape) == 2:
            step = np.abs(weight.numpy()).max(-1, keepdims=True) / 127
            assert (np.abs(stored.matrix(place) - weight.numpy()) <= step / 2 + 1e-7).all()


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_training_can_start_from_a_smaller_export(exports, dtype):
    folder, model = exports
    names = ("embedding_units", "tie_embeddings", "output_bias")
    other = make_model(WORDS, units=32, init_scale=0.1, **{name: getattr(model, name) for name in names})
    warm_start(other, WORDS, folder / dtype)
    for found, expected in zip(other.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=2e-3)


def test_an_unknown_type_is_refused(exports):
    with pytest.raises(ValueError, match="int4.*float32, float16, int8"):
        ExportedWeights(exports[1], "int4")
