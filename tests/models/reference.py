"""The paper's network and losses in NumPy and float64, written from the equations: what the models are held to.

Everything is a plain forward computation that also takes complex numbers, so that `complex_step_gradient` can
differentiate it to machine precision without a line of back-propagation. `loss_gradients` alone is derived by hand, for
vocabularies where that would take too long; a test holds it to the complex step.
"""

import numpy as np

EOS_ID = 1


def log_softmax(z):
    """Logarithm of the softmax over the last axis."""
    z = z - z.real.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def lanes(ids, batch_size):
    """Inputs and targets [batch_size, len(ids) // batch_size]: a token from the one before, the first from `<eos>`."""
    ids = np.asarray(ids)[: len(ids) // batch_size * batch_size]
    inputs = np.concatenate([[EOS_ID], ids[:-1]])
    return inputs.reshape(batch_size, -1), ids.reshape(batch_size, -1)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm(inputs, weights, h, c, mask, output_mask=None):
    """One layer, a step at a time; `mask` multiplies h wherever it is used, and only there.

    With `output_mask` this multiplies the hidden states that are returned, and `mask` only what is fed back.

    Args:
        inputs: [time, batch, features].
        weights: kernel [features, 4 * units], recurrent kernel [units, 4 * units], bias [4 * units]; gates i, f, g, o.
        h, c: [batch, units], unmasked.
        mask: [batch, units].

    Returns:
        masked hidden states [time, batch, units], and the last h and c, unmasked.
    """
    kernel, recurrent_kernel, bias = weights
    masked = []
    for x in inputs:
        i, f, g, o = np.split(x @ kernel + (h * mask) @ recurrent_kernel + bias, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        masked.append(h * (mask if output_mask is None else output_mask))
    return np.stack(masked), h, c


def losses(hidden, targets, kernel, bias=0.0, table=None, temperature=1.0):
    """J and J_aug = KL(y~ || y^) of each token, [tokens] each; J_aug is 0 without a table."""
    logits = hidden @ kernel.T + bias
    cross_entropy = -log_softmax(logits)[np.arange(len(targets)), targets]
    if table is None:
        return cross_entropy, 0 * cross_entropy
    estimated = log_softmax(table[targets] @ table.T / temperature)
    predicted = log_softmax(logits / temperature)
    return cross_entropy, (np.exp(estimated) * (estimated - predicted)).sum(axis=-1)


def loss_gradients(hidden, targets, kernel, bias, table, temperature, gamma, through_target):
    """Gradients of the sum of J + γ τ J_aug: a dict of `hidden`, `kernel`, `bias` and `table`."""
    logits = hidden @ kernel.T + bias
    rows = np.arange(len(targets))
    d_logits, d_table = np.exp(log_softmax(logits)), np.zeros_like(kernel)
    d_logits[rows, targets] -= 1
    if table is not None:
        estimated, predicted = log_softmax(table[targets] @ table.T / temperature), log_softmax(logits / temperature)
        y = np.exp(estimated)
        d_logits += gamma * (np.exp(predicted) - y)
        if through_target:
            divergence = (y * (estimated - predicted)).sum(axis=-1, keepdims=True)
            d_products = gamma * y * (estimated - predicted - divergence)  # of the products L u
            d_table = d_products.T @ table[targets]
            np.add.at(d_table, targets, d_products @ table)
    return {
        "hidden": d_logits @ kernel,
        "kernel": d_logits.T @ hidden,
        "bias": d_logits.sum(axis=0),
        "table": d_table,
    }


def complex_step_gradient(function, arrays):
    """Gradients of a real scalar function of float64 arrays, exact to rounding: Im f(x + i 1e-30) / 1e-30."""
    arrays = [np.array(a, np.complex128) for a in arrays]
    gradients = []
    for array in arrays:
        gradient = np.empty(array.shape)
        for place in np.ndindex(array.shape):
            array[place] += 1e-30j
            gradient[place] = function(arrays).imag / 1e-30
            array[place] = array[place].real
        gradients.append(gradient)
    return gradients


class ReferenceModel:
    """The network of a `LanguageModel`, with weights copied from it, dropping what the masks say and nothing else."""

    def __init__(self, model):
        self.tied = model.tie_embeddings
        self.num_layers = model.num_layers
        self.units = model.units
        self.penalties = model.activation_regularization, model.temporal_activation_regularization
        self.projected = model.embedding_units != model.units
        # Embedding, three weights a layer, and where there are such the projection, the output layer's own kernel and
        # its bias.
        self.weights = [v.numpy().astype(np.float64) for v in model.trainable_variables]

    def zero_state(self, batch_size):
        return np.zeros([batch_size, self.num_layers, 2, self.units])

    def last_layer(self, weights, inputs, state, masks):
        """Masked hidden states of the last layer [time, batch, units] and the new state.

        `masks` has a mask for the inputs and one for each layer, or is a `DropoutMasks` of arrays.
        """
        further = hasattr(masks, "words")
        first, *of_layers = (masks.inputs, *masks.hidden) if further else masks
        hidden, new_state = weights[0][inputs.T] * first, []
        if further and masks.words is not None:
            hidden = hidden * masks.words[inputs.T][..., None]
        for i in range(self.num_layers):
            kernel, recurrent_kernel, bias = weights[1 + 3 * i : 4 + 3 * i]
            if further and masks.recurrent is not None:
                recurrent_kernel = recurrent_kernel * masks.recurrent[i]
            output_mask = masks.output if further and i == self.num_layers - 1 else None
            layer = kernel, recurrent_kernel, bias
            hidden, h, c = lstm(hidden, layer, state[:, i, 0], state[:, i, 1], of_layers[i], output_mask)
            new_state.append(np.stack([h, c], axis=1))
        return hidden, np.stack(new_state, axis=1)

    def projection(self, weights, hidden):
        """What the output layer takes [time, batch, embedding units]."""
        return hidden @ weights[1 + 3 * self.num_layers] if self.projected else hidden

    def hidden_states(self, weights, inputs, state, masks):
        """What the output layer takes [time, batch, embedding units] and the new state."""
        hidden, state = self.last_layer(weights, inputs, state, masks)
        return self.projection(weights, hidden), state

    def penalty(self, hidden):
        """AR and TAR of hidden states of the last layer, summed over the tokens."""
        activation, temporal = self.penalties
        change = hidden[1:] - hidden[:-1]
        return (activation * (hidden**2).sum() + temporal * (change**2).sum()) / self.units

    def output(self, weights):
        """The output layer's kernel [V, embedding units] and its bias."""
        optional = weights[1 + 3 * self.num_layers + self.projected :]
        kernel = weights[0] if self.tied else optional[0]
        return kernel, optional[-1] if len(optional) > 1 else 0.0

    def window(self, inputs, targets, state, masks=None, table=None, temperature=1.0, weights=None):
        """J and J_aug of the tokens, [time * batch] each, and the new state; drops nothing without masks."""
        weights = self.weights if weights is None else weights
        masks = np.ones([1 + self.num_layers, 1, 1]) if masks is None else masks
        hidden, state = self.hidden_states(weights, inputs, state, masks)
        flat = hidden.reshape(-1, hidden.shape[-1])
        return *losses(flat, targets.T.reshape(-1), *self.output(weights), table, temperature), state

    def gradients(self, inputs, targets, state, masks, augmented, temperature, gamma, through_target):
        """Gradients of the window's total loss, summed over its tokens, in the order of `weights`."""

        def total(weights):
            table = weights[0] if through_target else self.weights[0]
            table = table if augmented else None
            cross_entropy, kl, _ = self.window(inputs, targets, state, masks, table, temperature, weights)
            penalty = self.penalty(self.last_layer(weights, inputs, state, masks)[0]) if any(self.penalties) else 0.0
            return (cross_entropy + gamma * temperature * kl).sum() + penalty

        return complex_step_gradient(total, self.weights)

    def cross_entropies(self, ids):
        """J of each token of one lane, the first predicted from `<eos>` and the zero state."""
        ids = np.asarray(ids)
        inputs = np.concatenate([[EOS_ID], ids[:-1]])
        return self.window(inputs[None], ids[None], self.zero_state(1))[0]


def relative_error(found, expected):
    """Norm of the difference of two lists of arrays over the norm of the expected one."""
    difference = sum(np.sum((np.asarray(a, np.float64) - b) ** 2) for a, b in zip(found, expected, strict=True))
    return np.sqrt(difference / sum(np.sum(np.square(b)) for b in expected))
