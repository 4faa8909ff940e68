"""The `.tflite`: both signatures give the model's own numbers, from builtin operations, for every kind of model."""

import numpy as np
import pytest
import tensorflow as tf

from models.language_model import LanguageModel
from models.serving.export import FIRST_WORD_ID

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="the extra litert is not installed")
from models.serving import litert_export  # noqa: E402  (after the skip)

pytestmark = pytest.mark.litert
IDS = [1, 5, 3, 8, 8, 0, 19]


def read(content, signature, ids):
    """The outputs of a signature after each of the ids."""
    runner = interpreter.Interpreter(model_content=content).get_signature_runner(signature)
    state, found = np.zeros(runner.get_input_details()["state"]["shape"], np.float32), []
    for token in ids:
        found.append(runner(token_ids=np.array([token], np.int64), state=state))
        state = found[-1]["state"]
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"units": 16},
        {"units": 16, "num_layers": 3, "tie_embeddings": False, "output_bias": True},
        {"units": 16, "embedding_units": 9},
        {"units": 401},  # read layer by layer
        {"units": 16, "vocabulary_size": 7},  # with fewer than ten words to offer
    ],
)
def test_both_signatures_give_the_models_own_numbers(settings):
    model = LanguageModel(**{"vocabulary_size": 40, "init_scale": 0.3, "augmented": False} | settings)
    ids = np.minimum(IDS, model.vocabulary_size - 1)
    logits, state = model(ids[None], return_state=True)
    expected = tf.nn.log_softmax(logits[0]).numpy()
    content = litert_export.convert(model)
    steps = read(content, "step", ids)
    np.testing.assert_allclose([step["log_probabilities"][0] for step in steps], expected, atol=1e-5)
    np.testing.assert_allclose(steps[-1]["state"], state, atol=1e-5)
    for words, row in zip(read(content, "next_words", ids), np.exp(expected), strict=True):
        best = np.argsort(-row[FIRST_WORD_ID:], kind="stable")[:10] + FIRST_WORD_ID
        np.testing.assert_array_equal(words["ids"][0], best)
        np.testing.assert_allclose(words["probabilities"][0], row[best], rtol=1e-4)


@pytest.mark.parametrize(("quantize", "share", "error"), [("float16", 0.55, 2e-3), ("int8", 0.6, 0.1)])
def test_smaller_weights_give_smaller_files_and_similar_numbers(quantize, share, error):
    model = LanguageModel(400, 64, init_scale=0.3, augmented=False)
    exact, small = litert_export.convert(model), litert_export.convert(model, quantize)
    assert len(small) < share * len(exact)
    differences = [
        np.abs(ours["log_probabilities"] - theirs["log_probabilities"]).max()
        for ours, theirs in zip(read(small, "step", IDS), read(exact, "step", IDS), strict=True)
    ]
    assert 0 < max(differences) < error
