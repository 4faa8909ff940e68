"""Cross-entropy and the augmented loss of "Tying Word Vectors and Word Classifiers", with one fused gradient.

Symbols as in the paper (Inan, Khosravi and Socher, arXiv 1611.01462, section 3): logits z = W h + b, y = softmax(z),
tempered y^ = softmax(z / τ), estimated target distribution y~ = softmax(L u / τ) with u = L[target],
J = -log y[target], J_aug = KL(y~ || y^), and the total J + α J_aug with α = γ τ, so that the augmented loss pulls on
the logits with γ (y^ - y~). L is the argument `table`, not `embedding`: it may be a copy of the embedding, held or
averaged, and the embedding may also be the kernel W.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from models.layers.loss_parts import OutputLayer, TargetEstimate, augmented_part, cross_entropy_part

# Logits of so many (token, word) pairs are held at a time: 64 MiB. Larger batches or vocabularies are cut into chunks.
MAX_LOGITS = 2**24


def augmented_loss(
    hidden: tf.Tensor,
    targets: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor | None = None,
    table: tf.Tensor | None = None,
    temperature: float | tf.Tensor = 20.0,
    gamma: float | tf.Tensor = 0.65,
    gradient_through_target: bool = True,
    precision: str = "float32",
    sample_weight: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes the sum over tokens of J + γ τ J_aug, together with its gradient.

    Nothing of shape [tokens, vocabulary] is kept after the call, so its memory is bounded whatever the vocabulary.

    Args:
        hidden: float32 [tokens, units], the (masked) hidden states h.
        targets: int32 [tokens], ids of the target words y*.
        kernel: float32 [vocabulary, units], the output layer's W.
        bias: float32 [vocabulary] or None, the output layer's b.
        table: float32 [vocabulary, units], the embedding L that y~ is made from, or None for cross-entropy alone.
        temperature: τ > 0, a float or a scalar tensor.
        gamma: γ >= 0, a float or a scalar tensor.
        gradient_through_target: Whether the gradient also flows through y~ into `table`. The paper does not say;
            in trainings of 15 and 19 epochs REAL with tied weights improved the perplexity with it alone
            (experiments/README.md).
        precision: "float32", or "bfloat16" for the operands of the large products. With the augmented loss logits are
            float32 sums, not rounded, because its pull is a small difference of two softmaxes.
        sample_weight: float32 [tokens], the factor of each token in the sum, or None for 1.

    Returns:
        (total, cross_entropy, augmented): the differentiable scalar, in nats, and the tokens' J and J_aug, [tokens]
        each, which carry no gradient.

    Example, a Keras model that returns its hidden states and trains with this loss. A loss for `compile` would see the
    logits alone, and neither the kernel nor the embedding:

    >>> import keras
    >>> class Reader(keras.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.embedding = keras.layers.Embedding(100, 8)
    ...         self.lstm = keras.layers.LSTM(8, return_sequences=True)
    ...
    ...     def call(self, ids):
    ...         return self.lstm(self.embedding(ids))
    ...
    ...     def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
    ...         hidden, targets = tf.reshape(y_pred, [-1, 8]), tf.reshape(y, [-1])
    ...         table = tf.convert_to_tensor(self.embedding.embeddings)
    ...         total, *_ = augmented_loss(hidden, targets, table, table=table)
    ...         return total / tf.cast(tf.size(targets), tf.float32)
    >>> model = Reader()
    >>> model.compile("adam", jit_compile=False)  # XLA cannot find the distinct targets
    >>> ids = tf.reshape(tf.range(60), [6, 10])
    >>> model.fit(ids, ids + 1, batch_size=4, verbose=0).history.keys()
    dict_keys(['loss'])
    """
    # The hint keeps a Python number from passing through float32.
    numbers = (tf.convert_to_tensor(x, dtype_hint=hidden.dtype) for x in (temperature, gamma))
    temperature, gamma = (tf.cast(x, hidden.dtype) for x in numbers)
    has_bias, has_table = bias is not None, table is not None

    @tf.custom_gradient
    def total_and_parts(*arguments: tf.Tensor) -> Any:
        # Without this a tape in eager code would also differentiate what XLA compiles.
        hidden, kernel, *given = map(tf.stop_gradient, arguments)
        bias = given.pop(0) if has_bias else None
        table = given.pop(0) if has_table else None
        output = OutputLayer(kernel, tf.cast(kernel, precision) if precision == "bfloat16" else kernel, bias)
        estimate = TargetEstimate(table, temperature, gamma, gradient_through_target) if has_table else None
        weights = tf.ones_like(hidden[:, 0]) if sample_weight is None else sample_weight
        by_token, sums = _in_chunks((hidden, targets, weights), output, estimate)
        cross_entropy, augmented, d_hidden = by_token
        gradients = [d_hidden, *(sums[key] for key in ("d_kernel", "d_bias", "d_table") if key in sums)]
        if has_table and not gradient_through_target:
            gradients.append(None)
        total = tf.reduce_sum(weights * cross_entropy) + gamma * temperature * tf.reduce_sum(weights * augmented)
        return (total, cross_entropy, augmented), _scaled_by_upstream(gradients)

    optional = [x for x in (bias, table) if x is not None]
    total, cross_entropy, augmented = total_and_parts(hidden, kernel, *optional)
    return total, tf.stop_gradient(cross_entropy), tf.stop_gradient(augmented)


def _in_chunks(
    tokens: Sequence[tf.Tensor], output: OutputLayer, estimate: TargetEstimate | None
) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
    """Computes the losses and gradients of all tokens, one chunk of rows after the other.

    Args:
        tokens: hidden states [tokens, units], targets [tokens] and weights [tokens].
        output: The output layer.
        estimate: How the target distribution is estimated, or None for cross-entropy alone.

    Returns:
        (J [tokens], J_aug [tokens] and the gradient of the hidden states [tokens, units], in the order of the tokens;
        dict of the gradients that are summed over the tokens: `d_kernel` and, if they apply, `d_bias` and `d_table`).
    """
    chunks, order, parts = row_chunks(tokens[0].shape[0], output.kernel.shape[0]), None, []
    if estimate is not None and len(chunks) > 1:
        # Tokens of one word side by side, so that each chunk has few words whose target distribution it needs.
        order = tf.argsort(tokens[1], stable=True)
        tokens = [tf.gather(x, order) for x in tokens]
    sums: dict[str, tf.Tensor] = {}
    for rows in chunks:
        # One chunk after the other: at once, each would hold its logits and gradients of the weights' size.
        with tf.control_dependencies(list(sums.values())):
            hidden, targets, weights = (x[rows] for x in tokens)
            if estimate is None:
                part = cross_entropy_part(hidden, targets, weights, output)
            else:
                part = augmented_part(hidden, targets, weights, output, estimate)
            parts.append([part.pop(key) for key in ("ce", "augmented", "d_hidden")])
            sums = {key: sums[key] + value if sums else value for key, value in part.items()}
    by_token = [tf.concat(x, axis=0) for x in zip(*parts, strict=True)]
    if order is not None:
        places = tf.math.invert_permutation(order)
        by_token = [tf.gather(x, places) for x in by_token]
    return by_token, sums


def _scaled_by_upstream(gradients: list[tf.Tensor | None]) -> Callable[..., list[tf.Tensor | None]]:
    """The gradient function of `tf.custom_gradient`: the ready gradients times that of the total."""

    def gradient(upstream: tf.Tensor, *_: Any) -> list[tf.Tensor | None]:
        if tf.get_static_value(upstream) == 1.0:  # the total is the loss itself: saves a pass over every gradient
            return gradients
        return [None if g is None else upstream * g for g in gradients]

    return gradient


def token_log_probabilities(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Computes the natural logarithms of the targets' probabilities, log y[target], at temperature 1.

    Args:
        logits: Floating-point [tokens, vocabulary].
        targets: int32 [tokens], ids of the target words.

    Returns:
        Log-probabilities [tokens], in the type of the logits.
    """
    return -tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)


def row_chunks(tokens: int | None, vocabulary_size: int) -> list[slice]:
    """Cuts tokens into chunks so short that the logits of each fit in `MAX_LOGITS`.

    Args:
        tokens: Number of tokens, or None where it is only known when the graph runs.
        vocabulary_size: Number of words V.

    Returns:
        Slices of the tokens, in order; one slice of all tokens where their number is None.
    """
    if tokens is None:  # known when the graph runs
        return [slice(None)]
    size = max(1, min(tokens, MAX_LOGITS // vocabulary_size))
    return [slice(start, min(start + size, tokens)) for start in range(0, tokens, size)]
