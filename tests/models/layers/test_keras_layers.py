"""The layers in any Keras model: Keras's own battery, masks, dtype policies, saving, training in eager code."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.testing import TestCase

from models.layers.tied_dense import TiedDense
from models.layers.variational_lstm import VariationalLSTM
from tests.models import reference

POLICIES = ("float32", "float64", "mixed_bfloat16", "mixed_float16", "bfloat16")
WORDS, UNITS = 30, 6


class TestKerasBattery(TestCase):
    """`run_layer_test`: symbolic and eager calls, shapes, serialization, a compiled training step, mixed precision."""

    def test_tied_dense(self):
        embedding = keras.layers.Embedding(WORDS, UNITS)
        for options, weights in (({}, 1), ({"use_bias": True}, 2), ({"tied_to": embedding}, 1)):
            self.run_layer_test(
                TiedDense,
                {"vocabulary_size": WORDS, **options},
                input_shape=(4, 5, UNITS),
                expected_output_shape=(4, 5, WORDS),
                expected_num_trainable_weights=weights,
                expected_num_seed_generators=0,
                supports_masking=True,
            )

    def test_variational_lstm(self):
        states = ((4, UNITS), (4, UNITS))
        for sequences, output in ((True, (4, 5, UNITS)), (False, (4, UNITS))):
            for return_state in (False, True):
                self.run_layer_test(
                    VariationalLSTM,
                    {"units": UNITS, "dropout": 0.5, "return_sequences": sequences, "return_state": return_state},
                    input_shape=(4, 5, 3),
                    expected_output_shape=(output, *states) if return_state else output,
                    expected_num_trainable_weights=3,
                    expected_num_seed_generators=1,
                    supports_masking=True,
                    run_training_check=not return_state,  # Keras's loss for it takes one output
                )


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def lstm_and_peer(**options):
    """The layer and `keras.layers.LSTM`, with the same weights."""
    layer = VariationalLSTM(UNITS, initializer=keras.initializers.RandomUniform(-0.8, 0.8, seed=3), **options)
    peer = keras.layers.LSTM(UNITS, **{"return_sequences": True, **options})
    for built in (layer, peer):
        built.build((None, None, 3))
    peer.set_weights(layer.get_weights())
    return layer, peer


def results_and_gradients(layer, inputs, state, training, mask=None):
    """What the layer returns, and the gradients of a product with all of it, as one list of arrays."""
    inputs, state = tf.constant(inputs), [tf.constant(x) for x in state]
    with tf.GradientTape() as tape:
        tape.watch([inputs, *state])
        results = tf.nest.flatten(layer(inputs, initial_state=state, training=training, mask=mask))
        loss = tf.add_n([tf.reduce_sum(x * normal(*x.shape)) for x in results])
    sources = [inputs, *state, *(v.value for v in layer.trainable_variables)]
    return [x.numpy() for x in (*results, *tape.gradient(loss, sources))]


MASKS = {"none": None, "right": [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], "gaps": [[0, 1, 0, 1, 1], [1, 0, 0, 1, 0]]}


@pytest.mark.parametrize("sequences", [True, False], ids=["sequences", "last"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("masked", MASKS)
def test_without_dropout_it_is_the_lstm_of_keras(masked, training, sequences):
    """Outputs, states and all gradients, those through the states of an encoder and a decoder among them."""
    layer, peer = lstm_and_peer(return_sequences=sequences, return_state=True)
    mask = None if MASKS[masked] is None else tf.cast(MASKS[masked], tf.bool)
    case = normal(2, 5, 3), [normal(2, UNITS), normal(2, UNITS) / 2], training, mask
    for found, expected in zip(results_and_gradients(layer, *case), results_and_gradients(peer, *case), strict=True):
        np.testing.assert_allclose(found, expected, atol=3e-6)


def test_an_embedding_masks_the_steps_of_the_layer_and_the_logits():
    ids = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(WORDS, 3, mask_zero=True)
    hidden = VariationalLSTM(UNITS)(embedding(ids))
    model = keras.Model(ids, [hidden, TiedDense(WORDS)(hidden)])
    hidden, logits = model(np.array([[5, 7, 0, 0], [3, 2, 4, 6]]))
    np.testing.assert_array_equal(hidden[0, 1], hidden[0, 3])
    np.testing.assert_array_equal(logits._keras_mask, [[True, True, False, False], [True] * 4])
    np.testing.assert_allclose(hidden[0, :2], model(np.array([[5, 7]]))[0][0], atol=1e-6)


def test_dropout_draws_one_mask_for_each_example_and_window():
    layer = VariationalLSTM(50, dropout=0.5, seed=1)
    first, second = (layer(normal(8, 5, 3), training=True).numpy() == 0 for _ in range(2))
    assert first.mean() == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(first, np.broadcast_to(first[:, :1], first.shape))
    assert len(np.unique(first[:, 0], axis=0)) == 8 and (first != second).any()
    again = VariationalLSTM(50, dropout=0.5, seed=1)
    np.testing.assert_array_equal(first, again(normal(8, 5, 3), training=True).numpy() == 0)
    assert not (layer(normal(8, 5, 3), training=False).numpy() == 0).any()
    assert not (layer(normal(8, 5, 3)).numpy() == 0).any()


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("policy", POLICIES)
def test_layers_follow_the_dtype_policy(policy, training):
    embedding = keras.layers.Embedding(WORDS, UNITS, dtype=policy)
    layers = [VariationalLSTM(UNITS, dtype=policy), TiedDense(WORDS, tied_to=embedding, dtype=policy)]
    value, exact = normal(2, 5, 3), normal(2, 5, 3).astype(np.float64)
    for layer in layers:
        value = layer(value, **({"training": training} if layer is layers[0] else {}))
        assert value.dtype == keras.DTypePolicy(policy).compute_dtype
        assert all(w.dtype == keras.DTypePolicy(policy).variable_dtype for w in layer.weights)
    weights = [np.float64(keras.ops.cast(w, "float64")) for w in layers[0].get_weights()]
    hidden, *_ = reference.lstm(exact.transpose(1, 0, 2), weights, *np.zeros([2, 2, UNITS]), np.ones([2, UNITS]))
    expected = hidden.transpose(1, 0, 2) @ np.float64(keras.ops.cast(embedding.embeddings, "float64")).T
    tolerance = {"float64": 1e-12, "float32": 1e-6}.get(policy, 0.02) * np.abs(expected).max()
    if policy == "float64":
        exact_result = layers[1](layers[0](exact, training=training))
        np.testing.assert_allclose(exact_result, expected, atol=tolerance)
    np.testing.assert_allclose(np.float64(tf.cast(value, tf.float64)), expected, atol=max(tolerance, 1e-7))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("eagerly", [True, False], ids=["eager", "graph"])
def test_a_model_of_both_layers_learns_by_fit(policy, eagerly):
    keras.utils.set_random_seed(1)
    embedding = keras.layers.Embedding(WORDS, UNITS, dtype=policy)
    lstm = VariationalLSTM(UNITS, dropout=0.2, dtype=policy)
    model = keras.Sequential([embedding, lstm, TiedDense(WORDS, tied_to=embedding, dtype=policy)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss, run_eagerly=eagerly)
    ids = np.arange(7 * 8).reshape(7, 8) % 5  # seven rows in batches of four: the last is short
    losses = model.fit(ids, ids, batch_size=4, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def tied_model():
    ids = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(WORDS, UNITS, name="words")
    hidden = VariationalLSTM(UNITS, dropout=0.2, seed=1, name="lstm")(embedding(ids))
    model = keras.Model(ids, TiedDense(WORDS, tied_to=embedding, name="logits")(hidden))
    model.compile(keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ids = np.arange(20).reshape(4, 5)
    model.fit(ids, ids, verbose=0)
    return model, ids


def saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


COPIES = {
    "saved": saved_and_loaded,
    "cloned": lambda model, folder: keras.models.clone_model(model),
    "configured": lambda model, folder: keras.Model.from_config(model.get_config()),
    "cloned and saved": lambda model, folder: saved_and_loaded(keras.models.clone_model(model), folder),
}


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_a_tied_model_is_tied_to_its_own_embedding(copied, tmp_path):
    model, ids = tied_model()
    copy = COPIES[copied](model, tmp_path)
    table = copy.get_layer("words").embeddings
    assert copy.get_layer("logits").kernel is table is not model.get_layer("words").embeddings
    assert [v.path for v in copy.trainable_variables] == [v.path for v in model.trainable_variables]
    if copied == "saved":
        np.testing.assert_array_equal(copy(ids), model(ids))
        assert copy.optimizer.iterations.numpy() == 1
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(ids), model(ids))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(copy(ids) ** 2)
    gradient = tape.gradient(loss, table.value)
    assert np.all(tf.convert_to_tensor(gradient)[20:] != 0)  # words that are in no input: only the logits have them


def test_a_loaded_model_is_tied_to_an_embedding_in_a_model_within_it(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(WORDS, UNITS, name="words")
    encoder = keras.Model(ids, VariationalLSTM(UNITS, name="lstm")(embedding(ids)), name="encoder")
    outer = keras.Input((None,), dtype="int32")
    model = keras.Model(outer, TiedDense(WORDS, tied_to=embedding, name="logits")(encoder(outer)))
    loaded = saved_and_loaded(model, tmp_path)
    assert loaded.get_layer("logits").kernel is loaded.get_layer("encoder").get_layer("words").embeddings
    np.testing.assert_array_equal(loaded(np.arange(20).reshape(4, 5)), model(np.arange(20).reshape(4, 5)))


def test_a_tied_layer_names_what_does_not_fit_its_embedding():
    embedding = keras.layers.Embedding(WORDS, UNITS, name="words")
    with pytest.raises(ValueError, match="'words' has a table of 30 words x 6 units; the layer has vocabulary_size=31"):
        TiedDense(31, tied_to=embedding)(normal(2, UNITS))


@pytest.mark.parametrize("rate", [1.0, -0.1])
def test_a_dropout_that_is_no_probability_is_an_error(rate):
    with pytest.raises(ValueError, match="probability of dropping"):
        VariationalLSTM(UNITS, dropout=rate)
