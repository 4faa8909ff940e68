"""Exact perplexity: every token once, in one lane, from `<eos>`, whatever the window."""

import keras
import numpy as np
import pytest

from models import evaluation
from models.evaluation import log_probabilities, perplexity
from models.language_model import LanguageModel
from tests.models import reference
from tests.models.training_run import VOCABULARY, some_text, write_split

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


@pytest.mark.parametrize("window", WINDOWS)
def test_perplexity_is_exact_whatever_the_window(model, stream, cross_entropies, window):
    assert perplexity(model, stream, window) == pytest.approx(np.exp(cross_entropies.mean()), rel=1e-6)


def test_perplexity_is_no_mean_over_windows(cross_entropies):
    """The comparison above can tell: means of windows' perplexities are something else."""
    means = [np.mean([np.exp(p.mean()) for p in np.array_split(cross_entropies, TOKENS // w)]) for w in WINDOWS]
    assert np.abs(means / np.exp(cross_entropies.mean()) - 1).min() > 1e-5


def test_state_matters(model, stream, cross_entropies):
    """The comparison above can tell: without a state carried over the windows, the perplexity is another."""
    forgetful = [reference.ReferenceModel(model).cross_entropies(part) for part in np.array_split(stream[:], 58)]
    assert abs(np.concatenate(forgetful).mean() - cross_entropies.mean()) > 1e-3


def test_every_token_is_predicted_once_in_order_the_first_from_eos(model, stream, cross_entropies):
    found = np.concatenate(list(log_probabilities(model, stream, 35)))
    assert found.shape == (TOKENS,)
    np.testing.assert_allclose(found, -cross_entropies, rtol=1e-5, atol=1e-5)


def test_large_vocabularies_are_read_in_shorter_windows(model, stream, monkeypatch):
    monkeypatch.setattr(evaluation, "MAX_LOGITS", 50 * VOCABULARY)
    parts = list(log_probabilities(model, stream))
    assert [len(part) for part in parts] == [50] * 40 + [37]


def test_a_uniform_model_has_the_vocabulary_as_its_perplexity(stream):
    uniform = LanguageModel(VOCABULARY, 4, init_scale=0.0)
    assert perplexity(uniform, stream) == pytest.approx(VOCABULARY, rel=1e-6)
