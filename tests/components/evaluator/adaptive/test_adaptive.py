"""Adaptive evaluation against the papers' equations in NumPy, float64, a token and a weight at a time."""

import math

import numpy as np
import pytest

from components.evaluator.adaptive import dynamic_evaluation, evaluation, neural_cache
from components.evaluator.adaptive.dynamic_evaluation import DynamicEvaluation
from components.evaluator.adaptive.neural_cache import NeuralCache
from components.evaluator.adaptive.settings import AdaptiveSettings
from components.evaluator.adaptive.trained_model import rebuild
from components.evaluator.exported_model import ExportedModel
from models.serving.export import export
from models.serving.exported_weights import ExportedWeights
from models.text.token_stream import TokenStream, TokenWriter, write_index
from models.text.tokenizer import Tokenizer
from tests.components.evaluator.world import World
from tests.models.reference import EOS_ID, ReferenceModel, complex_step_gradient, relative_error
from tests.models.serving.exported import make_model

VOCABULARY, UNITS = 9, 4
WORDS = ["<unk>", "<eos>", *(f"w{i}" for i in range(VOCABULARY - 2))]
NETWORKS = [{}, {"tie_embeddings": False, "output_bias": True, "num_layers": 1}, {"embedding_units": 5}]


def small_model(**settings):
    return make_model(WORDS, units=UNITS, **settings)


def tokens(count, seed=1):
    return np.random.default_rng(seed).integers(0, VOCABULARY, count).astype(np.int32)


def read(reader, text, sizes):
    """The reader's log-probabilities of a text that is handed over in pieces of these sizes."""
    parts = np.split(text, np.cumsum(sizes))
    return np.concatenate(list(evaluation.log_probabilities(reader, parts)))


def cache_by_definition(reference, text, share, theta, window):
    no_masks = np.ones([1 + reference.num_layers, 1, 1])
    inputs = np.concatenate([[EOS_ID], text[:-1]])[None]
    hidden, _ = reference.hidden_states(reference.weights, inputs, reference.zero_state(1), no_masks)
    own = np.exp(-reference.cross_entropies(text))
    scores = []
    for t in range(len(text)):
        pairs = range(max(0, t - window), t)
        if not pairs:
            scores.append(math.log(own[t]))
            continue
        weights = {i: math.exp(theta * float(hidden[t, 0] @ hidden[i, 0])) for i in pairs}
        right = sum(weight for i, weight in weights.items() if text[i] == text[t])
        scores.append(math.log((1 - share) * own[t] + share * right / sum(weights.values())))
    return scores


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("share", "theta", "window"), [(0.1, 1.0, 500), (0.4, 3.0, 7), (0.4, 0.0, 1), (0.0, 1.0, 5)])
def test_the_cache_is_that_of_the_paper(monkeypatch, network, share, theta, window):
    monkeypatch.setattr(neural_cache, "BLOCK", 8)
    model, text = small_model(**network), tokens(61)
    expected = cache_by_definition(ReferenceModel(model), text, share, theta, window)
    reader = NeuralCache(model, share, theta, window)
    np.testing.assert_allclose(read(reader, text, [3, 30]), expected, rtol=1e-5)
    np.testing.assert_allclose(read(reader, text, [50, 1, 1]), expected, rtol=1e-5)  # a second text begins afresh


def test_words_of_the_cache_add_up_to_one_with_the_others():
    model, text = small_model(), tokens(12)
    total = 0.0
    for word in range(VOCABULARY):
        total += math.exp(read(NeuralCache(model, 0.3, 2.0, 6), np.append(text, np.int32(word)), [])[-1])
    assert total == pytest.approx(1.0, abs=1e-6)


def root_mean_squares(reference, train, lanes, segment, max_windows):
    length = len(train) // lanes
    state, squares, windows = reference.zero_state(lanes), [np.zeros_like(w) for w in reference.weights], 0
    before = np.concatenate([[EOS_ID], train])
    for start in range(0, min(length // segment, max_windows) * segment, segment):
        cut = np.array([before[b * length + start : b * length + start + segment + 1] for b in range(lanes)])
        gradients, state = mean_gradients(reference, reference.weights, cut[:, :-1], cut[:, 1:], state)
        squares = [total + gradient**2 for total, gradient in zip(squares, gradients, strict=True)]
        windows += 1
    return [np.sqrt(total / windows) for total in squares]


def mean_gradients(reference, weights, inputs, targets, state):
    def loss(arrays):
        return reference.window(inputs, targets, state, weights=arrays)[0].mean()

    return complex_step_gradient(loss, weights), reference.window(inputs, targets, state, weights=weights)[-1]


def dynamic_by_definition(reference, text, roots, eta, decay, epsilon, segment):
    trained = [w.copy() for w in reference.weights]
    mean = sum(root.sum() for root in roots) / sum(root.size for root in roots)
    weights, state, scores = trained, reference.zero_state(1), []
    before = np.concatenate([[EOS_ID], text])
    for start in range(0, len(text), segment):
        inputs, targets = before[start : start + segment][None], text[start : start + segment][None]
        inputs = inputs[:, : targets.shape[1]]
        scores += list(-reference.window(inputs, targets, state, weights=weights)[0])
        gradients, state = mean_gradients(reference, weights, inputs, targets, state)
        weights = [
            w - eta * g / (root + epsilon) + np.minimum(decay * root / mean, 1) * (start_w - w)
            for w, g, root, start_w in zip(weights, gradients, roots, trained, strict=True)
        ]
    return scores, weights


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("decay", [0.05, 0.9])  # the second is bounded for most weights
def test_dynamic_evaluation_is_that_of_the_paper(monkeypatch, network, decay):
    monkeypatch.setattr(dynamic_evaluation, "LANES", 3)
    monkeypatch.setattr(dynamic_evaluation, "MAX_WINDOWS", 4)
    model, text, train = small_model(**network), tokens(33), tokens(90, seed=2)
    reference = ReferenceModel(model)
    roots = root_mean_squares(reference, train, 3, 5, 4)
    reader = DynamicEvaluation(model, train, 2e-2, decay, 1e-3, 5)
    expected, weights = dynamic_by_definition(reference, text, roots, 2e-2, decay, 1e-3, 5)
    np.testing.assert_allclose(read(reader, text, [4, 20]), expected, rtol=2e-4)
    assert relative_error([v.numpy() for v in model.trainable_variables], weights) < 1e-4
    static = -reference.cross_entropies(text)
    np.testing.assert_allclose(expected[:5], static[:5])
    assert np.abs(expected[5:] - static[5:]).max() > 0.05, "the weights must have moved for this to say anything"
    np.testing.assert_allclose(read(reader, text, []), expected, rtol=2e-4)  # a second text begins afresh


def test_no_step_and_no_share_are_static_evaluation(tmp_path):
    model, text = small_model(), tokens(50)
    static = -ReferenceModel(model).cross_entropies(text)
    np.testing.assert_allclose(read(NeuralCache(model, 0.0, 1.0, 10), text, [7]), static, rtol=1e-5)
    still = DynamicEvaluation(model, tokens(300, seed=2), 0.0, 0.5, 1e-5, 5)
    np.testing.assert_allclose(read(still, text, [7]), static, rtol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_model_that_was_exported_is_rebuilt(tmp_path, network, dtype):
    model = small_model(**network)
    (tmp_path / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = Tokenizer("whitespace", False, False, tmp_path / "vocabulary.txt")
    export(model, tokenizer, tmp_path / "saved_model", {}, dtype)
    rebuilt = rebuild(ExportedModel(tmp_path / "saved_model"))
    expected = ExportedWeights(model, dtype)
    for place, variable in enumerate(rebuilt.trainable_variables):
        scale = expected.scales[str(place)].numpy()[:, None] if str(place) in expected.scales else 1.0
        np.testing.assert_array_equal(variable.numpy(), expected.weights[place].numpy().astype(np.float32) * scale)
    assert (rebuilt.num_layers, rebuilt.tie_embeddings, rebuilt.output_bias) == (
        model.num_layers, model.tie_embeddings, model.output_bias
    )  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def test_the_evaluator_reports_adaptive_figures_and_judges_the_static_one(world, tmp_path):
    _, plain, *_ = world.evaluate("weak", tmp_path / "plain")
    assert plain["adaptive"] == {}
    settings = {"cache_lambda": 0.2, "cache_window": 50, "dynamic_eta": 3e-4}
    bound = plain["splits"]["eval"]["perplexity"] + 1e-6
    figures, measured, blessing, _ = world.evaluate(
        "weak", tmp_path / "adaptive", adaptive=["cache", "dynamic"], max_perplexity=bound, **settings
    )
    assert blessing == "BLESSED" and measured["splits"] == plain["splits"]
    assert measured["adaptive"]["cache"]["settings"] == {"cache_lambda": 0.2, "cache_theta": 1.0, "cache_window": 50}
    assert measured["adaptive"]["dynamic"]["settings"]["dynamic_eta"] == 3e-4
    exported = ExportedModel(world.root / "weak" / "Format-Serving")
    train, text = (TokenStream(world.root / "tokens" / f"Split-{split}") for split in ("train", "test"))
    for mode in ("cache", "dynamic"):
        reader = evaluation.make_reader(mode, exported, train, AdaptiveSettings(**settings))
        expected = math.exp(-read(reader, text[:], [17]).mean())
        assert measured["adaptive"][mode]["test"] == pytest.approx(expected, rel=1e-5)
        assert figures[f"{mode}_test_perplexity"] == measured["adaptive"][mode]["test"]
        assert measured["adaptive"][mode]["test"] != pytest.approx(plain["splits"]["test"]["perplexity"], rel=1e-4)
    # Learning from the text helps here, because the weak model has not learned the cycle yet.
    assert measured["adaptive"]["dynamic"]["test"] < plain["splits"]["test"]["perplexity"]


def test_a_short_training_text_has_fewer_lanes(tmp_path):
    with TokenWriter(tmp_path / "tokens-00000-of-00001") as writer:
        writer.write(tokens(7))
    write_index(tmp_path, [("tokens-00000-of-00001", writer.counts)])
    reader = DynamicEvaluation(small_model(), TokenStream(tmp_path), 1e-3, 1e-2, 1e-5, 5)
    assert np.isfinite(read(reader, tokens(23), [])).all()
