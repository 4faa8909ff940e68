"""The loops over the steps of LSTM layers: with what the gradient needs for training, or without it for reading."""

from collections.abc import Sequence

import tensorflow as tf

from models.layers.matmul import matmul

MAX_UNITS_IN_HALVES = 400  # larger layers gain nothing from reading the batch in two halves side by side


def _steps(sequence):
    """Length of a [time, ...] tensor, as a number where it is known."""
    return sequence.shape[0] or tf.shape(sequence)[0]


def _cell(z, c):
    """One step from the gates' inputs z [batch, 4 * units]: (gates i, f, g, o), then the new c and h."""
    i, f, g, o = tf.split(z, 4, axis=-1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    c = f * c + i * g
    return (i, f, g, o), c, o * tf.tanh(c)


def _forward(sequences, rows, recurrent_kernel, keep=None):
    """Runs the cell over all steps and keeps what its gradient needs.

    Args:
        sequences: The gates' share of the inputs, bias included (order i, f, g, o), [time, batch, 4 * units], alone.
        rows: The mask, which multiplies h wherever it is used, and h and c before the first step, unmasked,
            [batch, units] each.
        recurrent_kernel: [units, 4 * units].
        keep: [time, batch, 1] or None: 1 where the step counts, 0 where the state is held.

    Returns:
        masked hidden states [time, batch, units], gates [time, batch, 4 * units], cells [time, batch, units], last h.
    """
    (z_inputs,), (mask, h, c) = sequences, rows
    time, (batch, units), dtype = _steps(z_inputs), h.shape, h.dtype
    hiddens = tf.TensorArray(dtype, time, element_shape=[batch, units])
    gates = tf.TensorArray(dtype, time, element_shape=[batch, 4 * units])
    cells = tf.TensorArray(dtype, time, element_shape=[batch, units])

    def step(t, h, c, hiddens, gates, cells):
        before = h, c
        values, c, h = _cell(z_inputs[t] + tf.matmul(h * mask, recurrent_kernel), c)
        if keep is not None:
            h, c = (keep[t] * new + (1.0 - keep[t]) * old for new, old in zip((h, c), before, strict=True))
        gates_t = tf.concat(values, axis=-1)
        return t + 1, h, c, hiddens.write(t, h * mask), gates.write(t, gates_t), cells.write(t, c)

    _, h, c, hiddens, gates, cells = tf.while_loop(
        lambda t, *_: t < time, step, (0, h, c, hiddens, gates, cells), maximum_iterations=time
    )
    return hiddens.stack(), gates.stack(), cells.stack(), h


def _backward(sequences, rows, recurrent_kernel, keep=None):
    """Back-propagates through the steps.

    The factors of the gradients are computed for all steps at once before the loop, so that the loop has little to do.

    Args:
        sequences: The gradient of the hidden states that were returned, and the gates and cells that `_forward` kept.
        rows: The mask, that of the hidden states that were returned, the gradient of the last h and c, and c before the
            first step.
        recurrent_kernel, keep: As in `_forward`.

    Returns:
        The gradient of the gates' inputs, [time, batch, 4 * units], and of h and c before the first step.
    """
    (d_hiddens, gates, cells), (mask, output_mask, d_h, d_c, c0) = sequences, rows
    time = _steps(d_hiddens)
    i, f, g, o = tf.split(gates, 4, axis=-1)
    before = tf.concat([c0[None], cells[:-1]], axis=0)
    tanh_c = tf.tanh(cells)
    by_i, by_f, by_g = g * i * (1.0 - i), before * f * (1.0 - f), i * (1.0 - g * g)
    by_o, by_c = tanh_c * o * (1.0 - o), o * (1.0 - tanh_c * tanh_c)
    d_hiddens, transposed = d_hiddens * output_mask, tf.transpose(recurrent_kernel)
    d_hiddens = tf.concat([d_hiddens[:-1], d_hiddens[-1:] + d_h], axis=0)
    d_gates = tf.TensorArray(gates.dtype, time, element_shape=gates.shape[1:])

    def step(t, d_h, d_c, d_gates, *held):
        d_h = d_hiddens[t] + d_h * mask
        if held:
            d_h = d_h + held[0]
        if keep is not None:
            (d_h, held_h), (d_c, held_c) = ((keep[t] * d, (1.0 - keep[t]) * d) for d in (d_h, d_c))
        d_c = d_c + d_h * by_c[t]
        d_z = tf.concat([d_c * by_i[t], d_c * by_f[t], d_c * by_g[t], d_h * by_o[t]], axis=-1)
        d_h, d_c = tf.matmul(d_z, transposed), d_c * f[t]
        if keep is not None:
            d_c = d_c + held_c
            return t - 1, d_h, d_c, d_gates.write(t, d_z), held_h
        return t - 1, d_h, d_c, d_gates.write(t, d_z)

    zeros = tf.zeros_like(d_h)
    start = (time - 1, zeros, d_c, d_gates) + (() if keep is None else (zeros,))  # last: the gradient of a held h
    _, d_h, d_c, d_gates, *held = tf.while_loop(lambda t, *_: t >= 0, step, start, maximum_iterations=time)
    return d_gates.stack(), tf.add_n([d_h * mask, *held]), d_c


def _input_products(inputs, kernel, bias, precision="float32"):
    """The inputs' share of the gates for all steps in one product: [time, batch, 4 * units]."""
    time, batch = tf.unstack(tf.shape(inputs)[:2])
    flat = matmul(tf.reshape(inputs, [-1, inputs.shape[-1]]), kernel, precision) + bias
    z = tf.reshape(flat, [time, batch, bias.shape[0]])
    z.set_shape([*inputs.shape[:2], bias.shape[0]])
    return z


def read_layers(
    inputs: tf.Tensor, states: Sequence[tf.Tensor], layers: Sequence[Sequence[tf.Tensor]]
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Reads with several layers in one loop, without dropout, and keeps only the last layer's h.

    One layer's step and the next step of the layer under it overlap, and the products of the upper layers are of one
    step each. This is faster for layers of few units, whose products keep at most one core busy. Larger layers are
    faster one after the other, each in a separate loop.

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

    if z_inputs.shape[0] == 1:  # a loop costs more than a single step
        h, c = read_step(z_inputs[0], h, c)
        hiddens = h[-1][None]
    else:
        time = _steps(z_inputs)
        hiddens = tf.TensorArray(h[-1].dtype, time, element_shape=h[-1].shape)

        def step(t, h, c, hiddens):
            h, c = read_step(z_inputs[t], h, c)
            return t + 1, h, c, hiddens.write(t, h[-1])

        _, h, c, hiddens = tf.while_loop(lambda t, *_: t < time, step, (0, h, c, hiddens), maximum_iterations=time)
        hiddens = hiddens.stack()
    return hiddens, [tf.stop_gradient(tf.stack(parts, axis=1)) for parts in zip(h, c, strict=True)]


_compiled_forward = tf.function(_forward, jit_compile=True, autograph=False)
_compiled_backward = tf.function(_backward, jit_compile=True, autograph=False)


def _forward_in_halves(sequences, rows, recurrent_kernel, keep):
    """`_forward` on each half of the batch, side by side: a step's product is too small for two cores.

    On two cores of a Zen 4 (AVX-512) it saves 1.1 ms of 3.9 a layer of 200 units and 20 lanes, with the same digits.
    Layers of 650 units, whose recurrent kernel does not fit in a core's cache, gain nothing. The backward loop gains
    nothing either, because the product of the output layer's gradient runs at the same time.
    """
    batch, units = rows[0].shape
    if batch is None or batch % 2 or units > MAX_UNITS_IN_HALVES or tf.config.list_physical_devices("GPU"):
        return _compiled_forward(sequences, rows, recurrent_kernel, keep)
    halves = []
    for half in (slice(0, batch // 2), slice(batch // 2, batch)):
        parts = [x[:, half] for x in sequences], [x[half] for x in rows]
        halves.append(_compiled_forward(*parts, recurrent_kernel, None if keep is None else keep[:, half]))
    return [tf.concat(parts, axis=parts[0].shape.rank - 2) for parts in zip(*halves, strict=True)]


def lstm(
    inputs: tf.Tensor,
    weights: Sequence[tf.Tensor],
    mask: tf.Tensor,
    state: Sequence[tf.Tensor],
    keep: tf.Tensor | None = None,
    precision: str = "float32",
    compiled: bool = True,
    output_mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Runs one LSTM layer, with a custom gradient: the weights' gradients of all steps are one product each.

    Args:
        inputs: [time, batch, features].
        weights: Kernel [features, 4 * units], recurrent kernel [units, 4 * units] and bias [4 * units], with the gates
            in the order i, f, g, o.
        mask: Dropout mask [batch, units], which multiplies h wherever it is used.
        state: h and c before the first step, unmasked, [batch, units] each.
        keep: [time, batch, 1], 1 where the step counts and 0 where the state is held, or None if all steps count.
        precision: "bfloat16" for the products over all steps at once, or the type of the inputs. Default "float32".
        compiled: Whether XLA compiles the loops, for each new shape. Default True.
        output_mask: [batch, units], of the hidden states that are returned; `mask` then only multiplies what is fed
            back. All steps must count. Default None: `mask`.

    Returns:
        (masked hidden states [time, batch, units], h and c after the last step), all differentiable.
    """
    forward, backward = (_forward_in_halves, _compiled_backward) if compiled else (_forward, _backward)

    @tf.custom_gradient
    def layer(*arguments):
        # Without this a tape in eager code would also differentiate the compiled loop, and XLA cannot return the
        # TensorArrays that this needs.
        inputs, kernel, recurrent_kernel, bias, h0, c0 = map(tf.stop_gradient, arguments)
        units = h0.shape[-1]
        flat_inputs = tf.reshape(inputs, [-1, inputs.shape[-1]])
        z_inputs = _input_products(inputs, kernel, bias, precision)
        hiddens, gates, cells, h = forward((z_inputs,), (mask, h0, c0), recurrent_kernel, keep)
        returned = hiddens if output_mask is None else gates[..., 3 * units :] * tf.tanh(cells) * output_mask

        def gradient(d_hiddens, d_h, d_c):
            upward = mask if output_mask is None else output_mask
            sequences, rows = (d_hiddens, gates, cells), (mask, upward, d_h, d_c, c0)
            d_z, d_h, d_c = backward(sequences, rows, recurrent_kernel, keep)
            d_z = tf.reshape(d_z, [-1, 4 * units])
            d_inputs = tf.reshape(matmul(d_z, kernel, precision, transpose_b=True), tf.shape(inputs))
            before = tf.reshape(tf.concat([(h0 * mask)[None], hiddens[:-1]], axis=0), [-1, units])
            with tf.control_dependencies([d_inputs]):  # which the layer below waits for
                d_kernels = matmul(tf.concat([flat_inputs, before], axis=1), d_z, precision, transpose_a=True)
                d_bias = tf.reduce_sum(d_z, axis=0)
            d_kernel, d_recurrent = tf.split(d_kernels, [flat_inputs.shape[1], units])
            return d_inputs, d_kernel, d_recurrent, d_bias, d_h, d_c

        return (returned, h, cells[-1]), gradient

    return layer(inputs, *weights, *state)
