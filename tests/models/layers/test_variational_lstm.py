"""The LSTM layer with one dropout mask per example: held to Keras without dropout, to NumPy with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.layers import lstm_loops
from models.layers.dropout import variational_mask
from models.layers.variational_lstm import VariationalLSTM
from tests.models import reference

TIME, BATCH, FEATURES, UNITS, RATE = 9, 4, 5, 6, 0.5


def normal(seed, *shape):
    return tf.random.stateless_normal(shape, [seed, 1])


def layer_and_inputs():
    """A layer whose state matters (large weights), inputs [time, batch, features] and a state that is not zero."""
    layer = VariationalLSTM(UNITS, initializer=keras.initializers.RandomUniform(-0.8, 0.8, seed=3))
    layer.build((None, None, FEATURES))
    return layer, normal(1, TIME, BATCH, FEATURES), 0.5 * normal(2, BATCH, 2, UNITS)


def run(layer, inputs, state, mask=None, training=True):
    """Hidden states and new state as arrays, in a graph, as training runs the layer."""
    hidden, new_state = tf.function(layer.run)(inputs, state, dropout_mask=mask, training=training)
    return hidden.numpy(), new_state.numpy()


DIRECTION = normal(3, TIME, BATCH, UNITS)  # gradients are of the hidden states' product with it


def gradients_of(layer, inputs, call):
    """Gradients with respect to the inputs and the layer's weights, where `call` gives hidden states."""

    @tf.function
    def gradients(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(call(inputs) * DIRECTION)
        return tape.gradient(loss, [inputs, *(v.value for v in layer.trainable_variables)])

    return [np.array(g, np.float64) for g in gradients(inputs)]


def weights_of(layer):
    return [w.astype(np.float64) for w in layer.get_weights()]


def a_mask():
    return variational_mask(RATE, (BATCH, UNITS), tf.constant([7, 1]), tf.range(BATCH))


def expected(layer, inputs, state, mask):
    h, c = np.float64(state[:, 0]), np.float64(state[:, 1])
    return reference.lstm(np.float64(inputs), weights_of(layer), h, c, np.float64(mask))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_without_dropout_it_is_the_lstm_of_keras(training):
    layer, inputs, state = layer_and_inputs()
    peer = keras.layers.LSTM(UNITS, return_sequences=True, return_state=True)
    peer.build((BATCH, TIME, FEATURES))
    peer.set_weights(layer.get_weights())

    def call_peer(inputs):
        initial_state = tf.unstack(state, axis=1)
        hidden, *state_after = peer(tf.transpose(inputs, [1, 0, 2]), initial_state=initial_state, training=training)
        return tf.transpose(hidden, [1, 0, 2]), tf.stack(state_after, axis=1)

    hidden, new_state = run(layer, inputs, state, training=training)
    peer_hidden, peer_state = call_peer(inputs)
    np.testing.assert_allclose(hidden, peer_hidden, atol=1e-6)
    np.testing.assert_allclose(new_state, peer_state, atol=1e-6)
    gradients = gradients_of(layer, inputs, lambda x: layer.run(x, state, training=training)[0])
    assert reference.relative_error(gradients, gradients_of(peer, inputs, lambda x: call_peer(x)[0])) < 1e-6


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_it_is_the_same_eagerly_and_in_a_graph(training):
    layer, inputs, state = layer_and_inputs()
    hidden, new_state = layer.run(inputs, state, training=training)
    np.testing.assert_allclose(hidden, run(layer, inputs, state, training=training)[0], atol=1e-6)
    np.testing.assert_allclose(new_state, run(layer, inputs, state, training=training)[1], atol=1e-6)


def test_one_mask_is_held_for_all_steps():
    layer, inputs, state = layer_and_inputs()
    hidden, _ = run(layer, inputs, state, a_mask())
    dropped = np.broadcast_to(a_mask() == 0, hidden.shape)
    assert 0 < dropped.mean() < 1
    np.testing.assert_array_equal(hidden == 0, dropped)


def test_the_mask_that_goes_up_is_the_mask_that_is_fed_back():
    """NumPy applies one mask at both places; another on the recurrent path, or none, changes the steps."""
    layer, inputs, state = layer_and_inputs()
    mask = a_mask()
    hidden, new_state = run(layer, inputs, state, mask)
    expected_hidden, _, c = expected(layer, inputs, state, mask)
    np.testing.assert_allclose(hidden, expected_hidden, atol=2e-6)
    np.testing.assert_allclose(new_state[:, 1], c, atol=2e-6)
    fed_back_whole, *_ = expected(layer, inputs, state, np.ones_like(mask))
    assert np.abs(hidden - fed_back_whole * mask.numpy()).max() > 0.01  # so the comparison above detects it


def test_a_dropped_unit_is_fed_back_nowhere():
    """The weights that leave a dropped unit on the recurrent path have no effect and take no gradient."""
    layer, inputs, state = layer_and_inputs()
    mask = tf.constant(np.array([[0.0, 2.0] * 3] * BATCH, np.float32))
    gradient = gradients_of(layer, inputs, lambda x: layer.run(x, state, dropout_mask=mask, training=True)[0])[2]
    assert not gradient[::2].any() and gradient[1::2].any(axis=1).all()
    hidden, _ = run(layer, inputs, state, mask)
    layer.recurrent_kernel.assign(layer.recurrent_kernel * np.array([[9.0], [1.0]] * 3, np.float32))
    np.testing.assert_array_equal(run(layer, inputs, state, mask)[0], hidden)


def test_the_state_that_is_carried_over_is_unmasked():
    layer, inputs, state = layer_and_inputs()
    _, new_state = run(layer, inputs, state, a_mask())
    _, h, _ = expected(layer, inputs, state, a_mask())
    np.testing.assert_allclose(new_state[:, 0], h, atol=2e-6)
    assert new_state.all()  # nothing dropped


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_two_windows_are_one_long_window(training):
    layer, inputs, state = layer_and_inputs()
    mask = a_mask() if training else None
    whole, last = run(layer, inputs, state, mask, training)
    first, between = run(layer, inputs[:4], state, mask, training)
    second, end = run(layer, inputs[4:], between, mask, training)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-6)
    np.testing.assert_allclose(end, last, atol=1e-6)


def test_gradients_with_a_mask_are_those_of_the_equations():
    layer, inputs, state = layer_and_inputs()
    mask = a_mask()

    def reference_loss(arrays):
        inputs, *weights = arrays
        hidden, *_ = reference.lstm(inputs, weights, state[:, 0].numpy(), state[:, 1].numpy(), mask.numpy())
        return (hidden * DIRECTION.numpy()).sum()

    gradients = gradients_of(layer, inputs, lambda x: layer.run(x, state, dropout_mask=mask, training=True)[0])
    expected_gradients = reference.complex_step_gradient(reference_loss, [inputs.numpy(), *weights_of(layer)])
    assert reference.relative_error(gradients, expected_gradients) < 2e-6


def test_no_gradient_flows_between_windows():
    layer, inputs, state = layer_and_inputs()

    @tf.function
    def gradients(state):
        with tf.GradientTape() as tape:
            tape.watch(state)
            hidden, new_state = layer.run(inputs, state, training=True)
            loss = tf.reduce_sum(hidden) + tf.reduce_sum(new_state)
        before = tape.gradient(loss, state, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer.run(inputs, state, training=True)[1])
        after = tape.gradient(loss, layer.kernel.value, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return before, after

    before, after = gradients(state)
    assert not before.numpy().any() and not after.numpy().any()


def test_evaluation_ignores_a_mask():
    layer, inputs, state = layer_and_inputs()
    hidden, _ = layer.run(inputs, state, dropout_mask=a_mask(), training=False)
    np.testing.assert_array_equal(hidden, layer.run(inputs, state)[0])


def test_configuration_makes_the_same_layer():
    layer, inputs, state = layer_and_inputs()
    copy = VariationalLSTM.from_config(layer.get_config())
    copy.build((None, None, FEATURES))
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy.run(inputs, state)[0], layer.run(inputs, state)[0])


@pytest.mark.parametrize("batch", [3, 4], ids=["whole", "in halves"])
def test_gradients_do_not_depend_on_whether_the_batch_is_read_in_halves(batch, monkeypatch):
    layer, inputs, state = layer_and_inputs()
    inputs, state, mask, direction = inputs[:, :batch], state[:batch], a_mask()[:batch], DIRECTION[:, :batch]

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer.run(inputs, state, mask, training=True)[0] * direction)
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    found = gradients()
    monkeypatch.setattr(lstm_loops, "MAX_UNITS_IN_HALVES", 0)
    assert reference.relative_error(found, [np.float64(g) for g in gradients()]) < 5e-7
