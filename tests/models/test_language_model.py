"""The whole network: its size, its training step held to float64 NumPy, and what is dropped where."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.language_model import LanguageModel
from pipeline.config.presets import DROPOUT
from tests.models import reference

VOCABULARY, UNITS, BATCH, TIME = 11, 4, 3, 5


def small_model(**options):
    """A model whose state and dropout matter: weights in [-0.8, 0.8]."""
    keras.utils.set_random_seed(4)
    if options.get("augmented", True):
        options = {"temperature": 2.0} | options
    return LanguageModel(VOCABULARY, UNITS, **{"init_scale": 0.8} | options)


def window(model, seed=6, step=3):
    """A window for `train_step`, with words that repeat and a state that is not zero."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(0, VOCABULARY, [BATCH, TIME + 1]).astype(np.int32)
    state = generator.uniform(-0.5, 0.5, model.zero_state(BATCH).shape).astype(np.float32)
    return {
        "inputs": tf.constant(ids[:, :-1]),
        "targets": tf.constant(ids[:, 1:]),
        "state": tf.constant(state),
        "step": tf.constant(step),
    }


@functools.cache
def in_a_graph(model):
    def gradients(batch):
        masks = model.training_masks(BATCH, tf.range(BATCH), batch["step"])
        ones = tf.ones([BATCH, TIME])
        found, sums, state = model.window_gradients(batch["inputs"], batch["targets"], ones, batch["state"], masks)
        return {"gradients": found, "cross_entropy": sums[0], "augmented_loss": sums[1], "state": state}

    return tf.function(gradients, autograph=False)


def train_step(model, batch):
    """The losses and the gradient of a window in a graph, as `fit` computes them; as arrays."""
    return tf.nest.map_structure(lambda x: x.numpy(), in_a_graph(model)(batch))


def test_step(model, batch):
    scores, state = model.token_log_probabilities(batch["inputs"], batch["targets"], batch["state"])
    return {"log_probabilities": scores, "state": state}


test_step.__test__ = False


def masks_of(model, step=3):
    """The masks of a training step: for the inputs, then for each layer."""
    masks = all_masks_of(model, step)
    return np.array([masks.inputs, *masks.hidden])


def all_masks_of(model, step=3):
    return tf.nest.map_structure(
        lambda mask: None if mask is None else mask.numpy().astype(np.float64),
        model.training_masks(BATCH, tf.range(BATCH), tf.constant(step)),
    )


@pytest.mark.parametrize(
    "options, parameters",
    [({}, 2_641_600), ({"tie_embeddings": False}, 4_641_600)]
    + [({"tie_embeddings": False, "output_bias": True}, 4_651_600)],
    ids=["tied", "untied", "untied with bias"],
)
def test_the_small_network_has_the_papers_number_of_parameters(options, parameters):
    assert LanguageModel(10_000, 200, **options).count_params() == parameters


def test_weights_start_uniform_within_init_scale():
    model = LanguageModel(200, 50, init_scale=0.04, tie_embeddings=False)
    for weight in model.trainable_variables:
        values = weight.numpy()
        assert np.abs(values).max() <= 0.04 and values.std() == pytest.approx(0.04 / np.sqrt(3), rel=0.15)


VARIANTS = {
    "VD": {"augmented": False, "tie_embeddings": False, "output_bias": True},
    "AL": {"tie_embeddings": False, "gradient_through_target": False},
    "AL through": {"tie_embeddings": False},
    "RE": {"augmented": False},
    "REAL": {"gradient_through_target": False},
    "REAL through": {},
    "projection": {"embedding_units": 3},
    "projection, untied": {"embedding_units": 6, "tie_embeddings": False, "output_bias": True},
    "three rates": {"input_dropout": 0.2, "output_dropout": 0.6},
    "words dropped": {"embedding_dropout": 0.3},
    "weights dropped": {"weight_dropout": 0.5},
    "AR": {"activation_regularization": 2.0},
    "TAR": {"temporal_activation_regularization": 1.5},
}
VARIANTS["all of them"] = VARIANTS["projection"] | VARIANTS["three rates"] | VARIANTS["words dropped"]
VARIANTS["all of them"] |= VARIANTS["weights dropped"] | VARIANTS["AR"] | VARIANTS["TAR"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_step_is_the_papers(variant):
    """Losses, state and the gradient of every weight, against NumPy under the masks of the step; and so are those of
    later work."""
    model = small_model(dropout=0.4, **VARIANTS[variant])
    batch = window(model)
    result = train_step(model, batch)
    numpy_model = reference.ReferenceModel(model)
    masks = all_masks_of(model)
    inputs, targets, state = (batch[key].numpy() for key in ("inputs", "targets", "state"))
    table = numpy_model.weights[0] if model.augmented else None
    cross_entropy, augmented, new_state = numpy_model.window(
        inputs, targets, state, masks, table, model.temperature or 1.0
    )
    assert result["cross_entropy"] == pytest.approx(cross_entropy.sum(), rel=1e-6)
    assert result["augmented_loss"] == pytest.approx(augmented.sum(), rel=1e-5)
    np.testing.assert_allclose(result["state"], new_state, atol=1e-6)
    gradients = numpy_model.gradients(
        inputs,
        targets,
        state,
        masks,
        model.augmented,
        model.temperature or 1.0,
        model.gamma or 0.0,
        model.gradient_through_target,
    )
    for found, expected in zip(result["gradients"], gradients, strict=True):
        assert reference.relative_error([found], [expected]) < 1e-5


def test_every_example_has_one_mask_for_the_inputs_and_one_for_each_layer():
    model = small_model(dropout=0.5)
    assert masks_of(model).shape == (model.num_layers + 1, BATCH, UNITS)


def test_no_word_is_dropped_from_the_lookup():
    """A word keeps its vector at every place of an example, but for the units that the example's mask drops at all of
    them: the gradient of a word's row is zero in a unit only where all examples that read it drop that unit."""
    model = small_model(dropout=0.5, augmented=False, tie_embeddings=False)
    batch = window(model)
    gradient, masks = train_step(model, batch)["gradients"][0], masks_of(model)
    for word in np.unique(batch["inputs"]):
        kept = masks[0][(batch["inputs"].numpy() == word).any(axis=1)].any(axis=0)
        np.testing.assert_array_equal(gradient[word] != 0, kept)


def test_masks_differ_between_places_and_steps_and_repeat_for_the_same_step():
    model = LanguageModel(VOCABULARY, 40, dropout=0.5)
    first, second, again = (masks_of(model, step) for step in (3, 4, 3))
    np.testing.assert_array_equal(first, again)
    masks = np.concatenate([first, second]).reshape(-1, 40)
    assert len(np.unique(masks, axis=0)) == len(masks)


def test_each_seed_has_other_masks():
    models = [LanguageModel(VOCABULARY, 40, dropout=0.5, seed=seed) for seed in (1, 2)]
    masks = np.concatenate([masks_of(model) for model in models]).reshape(-1, 40)
    assert len(np.unique(masks, axis=0)) == len(masks)


def test_dropout_is_the_share_dropped_in_training():
    masks = masks_of(LanguageModel(VOCABULARY, 500, num_layers=1, dropout=0.3))
    assert np.mean(masks == 0) == pytest.approx(0.3, abs=0.03)
    assert np.mean(masks) == pytest.approx(1.0, abs=0.05)


def test_presets_drop_what_the_paper_does_not_keep():
    keep = {"penn_treebank": (0.7, 0.5, 0.35), "wikitext": (0.8, 0.6, 0.6)}
    for corpus, kept in keep.items():
        dropped = [DROPOUT[corpus][size] for size in ("small", "medium", "large")]
        np.testing.assert_allclose(dropped, 1 - np.array(kept))


def test_nothing_is_dropped_in_evaluation():
    model, without = small_model(dropout=0.65), small_model(dropout=0.0)
    without.set_weights(model.get_weights())
    batch = window(model)
    found, expected = test_step(model, batch), test_step(without, batch)
    np.testing.assert_array_equal(found["log_probabilities"], expected["log_probabilities"])
    np.testing.assert_array_equal(model(batch["inputs"]), without(batch["inputs"]))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_evaluation_is_the_cross_entropy_at_temperature_one(options):
    model = small_model(dropout=0.4, **options)
    batch = window(model)
    result = test_step(model, batch)
    inputs, targets, state = (batch[key].numpy() for key in ("inputs", "targets", "state"))
    cross_entropy, _, new_state = reference.ReferenceModel(model).window(inputs, targets, state)
    np.testing.assert_allclose(result["log_probabilities"], -cross_entropy.reshape(TIME, BATCH).T, rtol=2e-6)
    np.testing.assert_allclose(result["state"], new_state, atol=1e-6)


def test_calling_the_model_gives_the_logits_of_the_next_word():
    model = small_model()
    batch = window(model)
    logits, state = model(batch["inputs"], batch["state"], return_state=True)
    scores = np.take_along_axis(tf.nn.log_softmax(logits).numpy(), batch["targets"].numpy()[..., None], axis=-1)
    result = test_step(model, batch)
    np.testing.assert_allclose(scores[..., 0], result["log_probabilities"], atol=2e-6)
    np.testing.assert_allclose(state, result["state"], atol=1e-6)


def test_calling_a_model_of_mixed_precision_rounds_nothing_either():
    model = small_model(embedding_units=3, dtype="mixed_bfloat16")
    ids = window(model)["inputs"]
    hidden, _ = model.hidden_states(ids, model.zero_state(BATCH))
    np.testing.assert_array_equal(model(ids), model.logits(hidden))


def test_calling_without_a_state_starts_from_zeros():
    model = small_model()
    ids = window(model)["inputs"]
    np.testing.assert_array_equal(model(ids), model(ids, model.zero_state(BATCH)))


@pytest.mark.parametrize("target", ["held", "average"])
def test_a_copied_target_embedding_replaces_the_models_own(target):
    model = small_model(target=target)
    np.testing.assert_array_equal(model.target_table, model.embedding.embeddings)  # at the start
    table = np.random.default_rng(8).uniform(-1, 1, [VOCABULARY, UNITS]).astype(np.float32)
    model.target_table.assign(table)
    batch = window(model)
    inputs, targets, state = (batch[key].numpy() for key in ("inputs", "targets", "state"))
    _, augmented, _ = reference.ReferenceModel(model).window(
        inputs, targets, state, table=table.astype(np.float64), temperature=model.temperature
    )
    assert train_step(model, batch)["augmented_loss"] == pytest.approx(augmented.sum(), rel=1e-5)


def test_bfloat16_products_change_losses_and_gradient_by_a_hundredth_at_most():
    for augmented in (True, False):
        exact, rounded = (
            LanguageModel(
                90,
                64,
                augmented=augmented,
                init_scale=0.3,
                precision=precision,
                temperature=10.0 if augmented else None,
            )  # fmt: skip
            for precision in ("float32", "bfloat16")
        )
        rounded.set_weights(exact.get_weights())
        expected, found = train_step(exact, window(exact)), train_step(rounded, window(exact))
        assert found["cross_entropy"] == pytest.approx(expected["cross_entropy"], rel=1e-2)
        assert found["augmented_loss"] == pytest.approx(expected["augmented_loss"], rel=1e-2)
        assert 0 < reference.relative_error(found["gradients"], expected["gradients"]) < 1e-2
        assert all(g.dtype == np.float32 for g in found["gradients"])


def test_scheduled_temperature_and_gamma_replace_the_models_own():
    model, other = small_model(), small_model(temperature=7.0, gamma=0.1)
    other.set_weights(model.get_weights())
    batch = window(model)
    model.set_loss_weights(temperature=7.0, gamma=0.1)
    scheduled = train_step(model, batch)
    expected = train_step(other, batch)
    assert scheduled["augmented_loss"] == pytest.approx(expected["augmented_loss"], rel=1e-5)
    for found, gradient in zip(scheduled["gradients"], expected["gradients"], strict=True):
        np.testing.assert_allclose(found, gradient, atol=1e-6)


def test_configuration_and_weights_make_the_same_model():
    model = small_model(tie_embeddings=False, output_bias=True, dropout=0.3, seed=9)
    copy = LanguageModel.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    copy.set_weights(model.get_weights())
    batch = window(model)
    found, expected = train_step(copy, batch), train_step(model, batch)
    assert found["cross_entropy"] == expected["cross_entropy"]
