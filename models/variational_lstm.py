"""The LSTM layer of the paper's "VD-LSTM": one dropout mask per example, held for every step."""

import keras
import tensorflow as tf

from models.products import product


def variational_mask(rate: float, shape: tuple[int, int], seed: tf.Tensor, lanes: tf.Tensor) -> tf.Tensor:
    """Inverted-dropout masks that depend on nothing but the seed and the lane.

    Every replica draws the masks of the whole batch and keeps the rows of its own lanes, so that a lane's mask is the
    same on one device or on four, in a run that was interrupted or in one that was not.

    Args:
        rate: Probability of dropping, in [0, 1).
        shape: `(batch_size, units)` of the whole (global) batch.
        seed: int32 [2], a different one for every step and layer.
        lanes: int32 [batch], the rows of the global batch that this replica holds.

    Returns:
        float32 [batch, units], 0 where dropped and 1 / (1 - rate) where kept.
    """
    keep = tf.random.stateless_uniform(shape, seed) >= rate
    return tf.gather(tf.cast(keep, tf.float32) / (1.0 - rate), lanes)


def _steps(sequence):
    """Length of a [time, ...] tensor, as a number where it is known."""
    return sequence.shape[0] or tf.shape(sequence)[0]


def _cell(z, c):
    """One step from the gates' inputs z [batch, 4 * units]: (gates i, f, g, o), then the new c and h."""
    i, f, g, o = tf.split(z, 4, axis=-1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    c = f * c + i * g
    return (i, f, g, o), c, o * tf.tanh(c)


def _forward(z_inputs, recurrent_kernel, mask, h, c):
    """Runs the cell over all steps and keeps what its gradient needs.

    Args:
        z_inputs: [time, batch, 4 * units], the gates' share of the inputs, bias included (order i, f, g, o).
        recurrent_kernel: [units, 4 * units].
        mask: [batch, units], multiplies h wherever it is used.
        h, c: [batch, units], the state before the first step, unmasked.

    Returns:
        masked hidden states [time, batch, units], gates [time, batch, 4 * units], cells [time, batch, units], last h.
    """
    time, (batch, units) = _steps(z_inputs), h.shape
    hiddens = tf.TensorArray(tf.float32, time, element_shape=[batch, units])
    gates = tf.TensorArray(tf.float32, time, element_shape=[batch, 4 * units])
    cells = tf.TensorArray(tf.float32, time, element_shape=[batch, units])

    def step(t, h, c, hiddens, gates, cells):
        values, c, h = _cell(z_inputs[t] + tf.matmul(h * mask, recurrent_kernel), c)
        gates_t = tf.concat(values, axis=-1)
        return t + 1, h, c, hiddens.write(t, h * mask), gates.write(t, gates_t), cells.write(t, c)

    _, h, c, hiddens, gates, cells = tf.while_loop(
        lambda t, *_: t < time, step, [0, h, c, hiddens, gates, cells], maximum_iterations=time
    )
    return hiddens.stack(), gates.stack(), cells.stack(), h


def _backward(d_hiddens, gates, cells, c0, recurrent_kernel, mask):
    """Back-propagates through the steps: the gradient of the gates' inputs, [time, batch, 4 * units].

    What it is multiplied by is known beforehand for all steps, so that the loop has little left to do.
    """
    time = _steps(d_hiddens)
    i, f, g, o = tf.split(gates, 4, axis=-1)
    before = tf.concat([c0[None], cells[:-1]], axis=0)
    tanh_c = tf.tanh(cells)
    by_i, by_f, by_g = g * i * (1.0 - i), before * f * (1.0 - f), i * (1.0 - g * g)
    by_o, by_c = tanh_c * o * (1.0 - o), o * (1.0 - tanh_c * tanh_c)
    d_hiddens, transposed = d_hiddens * mask, tf.transpose(recurrent_kernel)
    d_gates = tf.TensorArray(tf.float32, time, element_shape=gates.shape[1:])

    def step(t, d_h, d_c, d_gates):
        d_h = d_hiddens[t] + d_h * mask
        d_c = d_c + d_h * by_c[t]
        d_z = tf.concat([d_c * by_i[t], d_c * by_f[t], d_c * by_g[t], d_h * by_o[t]], axis=-1)
        return t - 1, tf.matmul(d_z, transposed), d_c * f[t], d_gates.write(t, d_z)

    zeros = tf.zeros_like(c0)
    *_, d_gates = tf.while_loop(lambda t, *_: t >= 0, step, [time - 1, zeros, zeros, d_gates], maximum_iterations=time)
    return d_gates.stack()


def _input_products(inputs, kernel, bias, precision="float32"):
    """The inputs' share of the gates for all steps in one product: [time, batch, 4 * units]."""
    time, batch = tf.unstack(tf.shape(inputs)[:2])
    flat = product(tf.reshape(inputs, [-1, inputs.shape[-1]]), kernel, precision) + bias
    z = tf.reshape(flat, [time, batch, bias.shape[0]])
    z.set_shape([*inputs.shape[:2], bias.shape[0]])
    return z


def read_layers(inputs, states, layers):
    """Reads with several layers in one loop without dropping anything and keeps only the last layer's h.

    One layer's step and the next step of the layer under it overlap, and the products of the upper layers are of one
    step each. In layers of few units that pays (the products of a step keep one core busy at most); larger ones are
    faster one after the other, each in a loop of its own.

    Args:
        inputs: [time, batch, features].
        states: Each layer's state [batch, 2, units].
        layers: Each layer's kernel, recurrent kernel and bias.

    Returns:
        (hidden states of the last layer [time, batch, units], each layer's state after the last step).
    """
    (kernel, _, bias), *_ = layers
    z_inputs = _input_products(inputs, kernel, bias)
    h, c = zip(*(tf.unstack(tf.stop_gradient(state), axis=1) for state in states), strict=True)

    def read_step(z, h, c):
        ahead_h, ahead_c = [], []
        for layer, (kernel, recurrent_kernel, bias) in enumerate(layers):
            z = tf.matmul(ahead_h[-1], kernel) + bias if layer else z
            _, new_c, new_h = _cell(z + tf.matmul(h[layer], recurrent_kernel), c[layer])
            ahead_h.append(new_h)
            ahead_c.append(new_c)
        return tuple(ahead_h), tuple(ahead_c)

    if z_inputs.shape[0] == 1:  # around one step a loop costs more than the step
        h, c = read_step(z_inputs[0], h, c)
        hiddens = h[-1][None]
    else:
        time = _steps(z_inputs)
        hiddens = tf.TensorArray(tf.float32, time, element_shape=h[-1].shape)

        def step(t, h, c, hiddens):
            h, c = read_step(z_inputs[t], h, c)
            return t + 1, h, c, hiddens.write(t, h[-1])

        _, h, c, hiddens = tf.while_loop(lambda t, *_: t < time, step, (0, h, c, hiddens), maximum_iterations=time)
        hiddens = hiddens.stack()
    return hiddens, [tf.stop_gradient(tf.stack(parts, axis=1)) for parts in zip(h, c, strict=True)]


_compiled_forward = tf.function(_forward, jit_compile=True)
_compiled_backward = tf.function(_backward, jit_compile=True)


def _lstm(inputs, kernel, recurrent_kernel, bias, mask, h0, c0, precision):
    """One layer with a gradient of its own: the weights' gradients of all steps are one product each."""

    @tf.custom_gradient
    def layer(inputs, kernel, recurrent_kernel, bias):
        return _layer_and_gradient(inputs, kernel, recurrent_kernel, bias, mask, h0, c0, precision)

    return layer(inputs, kernel, recurrent_kernel, bias)


def _layer_and_gradient(inputs, kernel, recurrent_kernel, bias, mask, h0, c0, precision):
    units = h0.shape[-1]
    flat_inputs = tf.reshape(inputs, [-1, inputs.shape[-1]])
    z_inputs = _input_products(inputs, kernel, bias, precision)
    hiddens, gates, cells, h = _compiled_forward(z_inputs, recurrent_kernel, mask, h0, c0)

    def gradient(d_hiddens, *_):
        d_z = tf.reshape(_compiled_backward(d_hiddens, gates, cells, c0, recurrent_kernel, mask), [-1, 4 * units])
        d_inputs = tf.reshape(product(d_z, kernel, precision, transpose_b=True), tf.shape(inputs))
        before = tf.reshape(tf.concat([(h0 * mask)[None], hiddens[:-1]], axis=0), [-1, units])
        d_kernels = product(tf.concat([flat_inputs, before], axis=1), d_z, precision, transpose_a=True)
        d_kernel, d_recurrent = tf.split(d_kernels, [flat_inputs.shape[1], units])
        return d_inputs, d_kernel, d_recurrent, tf.reduce_sum(d_z, axis=0)

    return (hiddens, h, cells[-1]), gradient


@keras.saving.register_keras_serializable(package="language_model")
class VariationalLSTM(keras.layers.Layer):
    """An LSTM layer whose hidden state is dropped by one mask for the whole window.

    The mask multiplies h wherever h is used: where it is fed back into the layer and where it goes up to the next
    layer (or to the softmax). The state handed from window to window is the unmasked h and c. Without a mask it is
    `keras.layers.LSTM`, with the same weights in the same order (gates i, f, c, o).

    Truncated back-propagation through time: no gradient flows into or out of the state between windows.

    Args:
        units: Size of the hidden state.
        initializer: Initializer of all three weights. Default: `keras.initializers.RandomUniform(-0.1, 0.1)`.
        precision: "float32" (default), or "bfloat16" for the products over all steps at once in training.

    Call arguments:
        inputs: float32 [time, batch, features], time first.
        state: float32 [batch, 2, units], h then c.
        dropout_mask: float32 [batch, units] from `variational_mask`, or None to drop nothing. Used in training only.
        training: True keeps what the gradient needs and compiles the loop with XLA (static shapes, inside of a
            `tf.function`); False (default) runs a plain loop of any length and batch, which exports to a SavedModel.

    Returns:
        (masked hidden states [time, batch, units], state [batch, 2, units] after the last step).

    Raises:
        RuntimeError: If it is called with `training=True` outside of a `tf.function`.

    Example:

    >>> layer = VariationalLSTM(4)
    >>> hidden, state = layer(tf.zeros([35, 20, 3]), tf.zeros([20, 2, 4]))
    >>> hidden.shape, state.shape
    (TensorShape([35, 20, 4]), TensorShape([20, 2, 4]))

    References:
        Gal & Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks" (2016);
        Inan et al., "Tying Word Vectors and Word Classifiers" (arXiv 1611.01462), section 4.
    """

    def __init__(self, units: int, initializer=None, precision: str = "float32", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.precision = precision
        self.initializer = keras.initializers.get(initializer or keras.initializers.RandomUniform(-0.1, 0.1))

    def build(self, input_shape):
        features = input_shape[-1]
        shapes = {
            "kernel": (features, 4 * self.units),
            "recurrent_kernel": (self.units, 4 * self.units),
            "bias": (4 * self.units,),
        }
        for name, shape in shapes.items():
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=self.initializer.clone()))

    def call(self, inputs, state, dropout_mask=None, training=False):
        weights = [tf.convert_to_tensor(weight) for weight in (self.kernel, self.recurrent_kernel, self.bias)]
        if not training:
            hiddens, (state,) = read_layers(inputs, [state], [weights])
            return hiddens, state
        if tf.executing_eagerly():
            raise RuntimeError("VariationalLSTM trains inside of a tf.function: call it with training=True from one.")
        h, c = tf.unstack(tf.stop_gradient(state), axis=1)
        mask = tf.ones_like(h) if dropout_mask is None else dropout_mask
        hiddens, h, c = _lstm(inputs, *weights, mask, h, c, self.precision)
        return hiddens, tf.stop_gradient(tf.stack([h, c], axis=1))

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "precision": self.precision,
            "initializer": keras.initializers.serialize(self.initializer),
        }
