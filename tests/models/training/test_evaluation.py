"""Exact perplexity: every token once, in one lane, from `<eos>`, whatever the window."""

import keras
import numpy as np
import pytest

from models import language_model
from models.language_model import LanguageModel
from models.layers import augmented_loss
from models.text.windows import windows
from tests.models import reference
from tests.models.training.training_run import VOCABULARY, some_text, write_split

TOKENS = 2_037  # no window divides it
WINDOWS = (7, 35, 1000)


@pytest.fixture(scope="module")
def model():
    """A model whose predictions depend on what was read long before: large weights."""
    keras.utils.set_random_seed(3)
    return LanguageModel(VOCABULARY, 10, dropout=0.5, init_scale=0.9)


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    return write_split(tmp_path_factory.mktemp("split"), some_text(TOKENS))


@pytest.fixture(scope="module")
def cross_entropies(model, stream):
    """J of each token, in float64 NumPy, read in one piece."""
    return reference.ReferenceModel(model).cross_entropies(stream[:])


def perplexity(model, stream, window=1000):
    if not model.compiled:
        model.compile()
    return model.evaluate(windows(stream, 1, window), return_dict=True, verbose=0)["perplexity"]


@pytest.mark.parametrize("window", WINDOWS)
def test_perplexity_is_exact_whatever_the_window(model, stream, cross_entropies, window):
    assert perplexity(model, stream, window) == pytest.approx(np.exp(cross_entropies.mean()), rel=1e-6)


def test_perplexity_is_no_mean_over_windows(cross_entropies):
    """The comparison above detects the difference: a mean of windows' perplexities is another number."""
    means = [np.mean([np.exp(p.mean()) for p in np.array_split(cross_entropies, TOKENS // w)]) for w in WINDOWS]
    assert np.abs(means / np.exp(cross_entropies.mean()) - 1).min() > 1e-5


def test_state_matters(model, stream, cross_entropies):
    """The comparison above detects the difference: without a carried state the perplexity is another."""
    forgetful = [reference.ReferenceModel(model).cross_entropies(part) for part in np.array_split(stream[:], 58)]
    assert abs(np.concatenate(forgetful).mean() - cross_entropies.mean()) > 1e-3


def test_every_token_is_predicted_once_in_order_the_first_from_eos(model, stream, cross_entropies):
    state, found = model.zero_state(1), []
    for inputs, targets, weights in windows(stream, 1, 35):
        scores, state = model.token_log_probabilities(inputs["token_ids"], targets, state)
        found.append(scores.numpy()[weights.numpy() == 1])
    np.testing.assert_allclose(np.concatenate(found), -cross_entropies, rtol=1e-5, atol=1e-5)


def test_large_vocabularies_are_scored_a_few_rows_at_a_time(model, stream, cross_entropies, monkeypatch):
    rows, score = [], language_model.token_log_probabilities
    monkeypatch.setattr(augmented_loss, "MAX_LOGITS", 50 * VOCABULARY)
    monkeypatch.setattr(
        language_model,
        "token_log_probabilities",
        lambda logits, ids: rows.append(logits.shape[0]) or score(logits, ids),
    )
    inputs, targets, _ = next(iter(windows(stream, 1, 120)))
    scores, _ = model.token_log_probabilities(inputs["token_ids"], targets, model.zero_state(1))
    assert rows == [50, 50, 20]
    np.testing.assert_allclose(scores[0], -cross_entropies[:120], rtol=1e-5, atol=1e-5)


def test_a_uniform_model_has_the_vocabulary_as_its_perplexity(stream):
    uniform = LanguageModel(VOCABULARY, 4, init_scale=0.0)
    assert perplexity(uniform, stream) == pytest.approx(VOCABULARY, rel=1e-6)
