"""Cross-entropy and augmented loss of some tokens, each with its gradients: what `augmented_loss` adds up.

Symbols as in `models.layers.augmented_loss`, after the paper (Inan, Khosravi and Socher, arXiv 1611.01462, section 3).
"""

from typing import NamedTuple

import tensorflow as tf

from models.layers.matmul import compiled_matmul, matmul
from models.layers.scatter import add_at, set_at

# XLA compiles for each number of distinct target words, which is rounded up to a multiple of this.
WORDS_MULTIPLE = 64


class OutputLayer(NamedTuple):
    """The output layer, z = W h + b.

    Attributes:
        kernel: W, float32 [vocabulary, units].
        in_products: W in the type of the products: bfloat16, or W itself.
        bias: b, float32 [vocabulary], or None.
    """

    kernel: tf.Tensor
    in_products: tf.Tensor
    bias: tf.Tensor | None


class TargetEstimate(NamedTuple):
    """How the target distribution is estimated, y~ = softmax(L u / τ), and what the augmented loss weighs.

    Attributes:
        table: L, float32 [vocabulary, units].
        temperature: τ, a scalar tensor.
        gamma: γ, a scalar tensor.
        gradient_through_target: Whether the gradient also flows through y~ into the table.
    """

    table: tf.Tensor
    temperature: tf.Tensor
    gamma: tf.Tensor
    gradient_through_target: bool


class _EstimatedTargets(NamedTuple):
    """What depends on the target word alone, computed once a distinct word.

    Attributes:
        words: The distinct target words' ids [distinct words].
        index: Each token's place among the words [tokens].
        rows: u, the words' rows of the table, followed by zeros. Here and below [words, ...], with the number of words
            rounded up to a multiple of `WORDS_MULTIPLE`.
        similarity: L u / τ.
        by_word: y~.
        loss_part: The part of J_aug that y~ alone decides [words].
    """

    words: tf.Tensor
    index: tf.Tensor
    rows: tf.Tensor
    similarity: tf.Tensor
    by_word: tf.Tensor
    loss_part: tf.Tensor


def cross_entropy_part(
    hidden: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, output: OutputLayer
) -> dict[str, tf.Tensor]:
    """Computes J and its gradients, of some tokens.

    y - y* is never formed. Its entry at the target, y[target] - 1 = -(the sum of all others), is added separately:
    formed as a difference it would lose the digits of a confident prediction. The sum is a column of ones in the
    product with W.

    Args:
        hidden: float32 [tokens, units], h.
        targets: int32 [tokens], ids of the target words.
        weights: float32 [tokens], the factor of each token in the sum.
        output: The output layer.

    Returns:
        dict of `ce` (J) and `augmented` (zeros), [tokens] each, and of the gradients `d_hidden` [tokens, units],
        `d_kernel` [vocabulary, units] and, where the layer has a bias, `d_bias` [vocabulary].
    """
    kernel, in_products, bias = output
    tokens, units, vocabulary_size = tf.shape(hidden)[0], hidden.shape[1], kernel.shape[0]
    like = in_products.dtype
    logits = tf.matmul(tf.cast(hidden, like), in_products, transpose_b=True)
    logits = logits if bias is None else logits + tf.cast(bias, like)
    y = tf.nn.softmax(logits)
    places = tf.stack([tf.range(tokens), targets], axis=1)
    y_target = tf.gather_nd(y, places)
    others = add_at(y, places, -y_target)
    ones = tf.ones([vocabulary_size, 16 - units % 16], like)  # more than one, so that the product's width is even
    products = tf.cast(tf.matmul(others, tf.concat([in_products, ones], axis=1)), hidden.dtype)
    rest = products[:, units : units + 1]  # 1 - y[target]
    weighted = weights[:, None] * hidden
    d_hidden = weights[:, None] * (products[:, :units] - rest * tf.gather(kernel, targets))
    # The layers wait for d_hidden, so it comes first; the product of d_kernel then runs during the layers' steps.
    with tf.control_dependencies([d_hidden]):
        d_kernel = matmul(others, weighted, like.name, transpose_a=True)
    part = {
        "ce": _cross_entropy(tf.cast(y_target, hidden.dtype), rest[:, 0], logits, places),
        "augmented": tf.zeros([tokens], hidden.dtype),
        "d_hidden": d_hidden,
        "d_kernel": add_at(d_kernel, targets[:, None], -rest * weighted),
    }
    if bias is not None:
        d_bias = tf.reduce_sum(weights[:, None] * tf.cast(others, hidden.dtype), axis=0)
        part["d_bias"] = add_at(d_bias, targets[:, None], -weights * rest[:, 0])
    return part


def _cross_entropy(y_target, rest, logits, places):
    """-log y[target], from y[target] or, where that is nearly 1, from the sum of all others."""

    def from_logits():  # y[target] is next to 0, so its logarithm would be inexact
        logits32, top = tf.cast(logits, y_target.dtype), tf.argmax(logits, axis=1, output_type=tf.int32)
        top = tf.stack([places[:, 0], top], axis=1)
        log_sum = tf.gather_nd(logits32, top) - tf.math.log(tf.gather_nd(tf.nn.softmax(logits32), top))
        return log_sum - tf.gather_nd(logits32, places)

    def from_probabilities():
        return tf.where(rest < 0.5, -tf.math.log1p(-tf.minimum(rest, 0.5)), -tf.math.log(y_target))

    return tf.cond(tf.reduce_min(y_target) > 1e-30, from_probabilities, from_logits)


def augmented_part(
    hidden: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, output: OutputLayer, estimate: TargetEstimate
) -> dict[str, tf.Tensor]:
    """Computes J, J_aug and their gradients, of some tokens. The logits are float32 whatever the precision.

    Args:
        hidden: float32 [tokens, units], h.
        targets: int32 [tokens], ids of the target words.
        weights: float32 [tokens], the factor of each token in the sum.
        output: The output layer.
        estimate: How the target distribution is estimated.

    Returns:
        dict of `ce` (J) and `augmented` (J_aug), [tokens] each, and of the gradients `d_hidden` [tokens, units],
        `d_kernel` [vocabulary, units] and, where they apply, `d_bias` [vocabulary] and `d_table` [vocabulary, units].
    """
    _, kernel, bias = output
    _, temperature, gamma, gradient_through_target = estimate
    precision = kernel.dtype.name
    by_targets = _estimated_targets(targets, estimate, kernel.shape[0], precision)
    estimated = tf.gather(by_targets.by_word, by_targets.index)
    logits, top, log_sum, tempered_log_sum, prediction_part, d_logits = _fused_losses(
        hidden, kernel, bias, estimated, weights, temperature, gamma
    )
    places = tf.stack([tf.range(tf.shape(hidden)[0]), targets], axis=1)
    below_top = tf.gather_nd(logits, places) - top
    cross_entropy = log_sum - below_top
    pull = tf.exp(below_top / temperature - tempered_log_sum) - tf.gather_nd(estimated, places)
    at_target = tf.cast(weights * (tf.math.expm1(-cross_entropy) + gamma * pull), precision)
    d_logits = set_at(d_logits, places, at_target)
    d_hidden = matmul(d_logits, kernel, precision)
    with tf.control_dependencies([d_hidden]):  # so that the layers need not wait, as in `cross_entropy_part`
        d_kernel = matmul(d_logits, hidden, precision, transpose_a=True)
    part = {
        "ce": cross_entropy,
        "augmented": prediction_part - tf.gather(by_targets.loss_part, by_targets.index),
        "d_hidden": d_hidden,
        "d_kernel": d_kernel,
    }
    if bias is not None:
        part["d_bias"] = tf.reduce_sum(tf.cast(d_logits, hidden.dtype), axis=0)
    if gradient_through_target:
        part["d_table"] = _table_gradient(hidden, weights, kernel, bias, by_targets, estimate)
    return part


def _estimated_targets(targets, estimate: TargetEstimate, vocabulary_size: int, precision: str) -> _EstimatedTargets:
    """y~ of every distinct target word, and what else depends on the word alone."""
    table = estimate.table
    words, index = tf.unique(targets)
    rows = tf.gather(table, words)
    rows = tf.pad(rows, [[0, -tf.shape(words)[0] % WORDS_MULTIPLE], [0, 0]])
    similarity = matmul(rows / estimate.temperature, table, precision, transpose_b=True)
    by_word = tf.nn.softmax(similarity)
    # The means instead of sums of exponentials cancel log V, which at a high temperature is a million times the result.
    log_mean = -tf.math.log(tf.reduce_max(by_word, axis=1) * tf.cast(vocabulary_size, rows.dtype))
    shifted = similarity - tf.reduce_max(similarity, axis=1, keepdims=True)
    loss_part = log_mean - tf.reduce_sum(by_word * shifted, axis=1)
    return _EstimatedTargets(words, index, rows, similarity, by_word, loss_part)


@tf.function(jit_compile=True)
def _fused_losses(hidden, kernel, bias, estimated, weights, temperature, gamma):
    """The logits and what takes passes over them, shifted by their row's largest: of any size they do not overflow.

    KL(y~ || y^) is the difference of log(mean(exp x)) - E_y~[x] between x = z / τ and x = L u / τ; here for z / τ.

    Returns:
        The logits [tokens, vocabulary]; [tokens]: the largest logit, log(sum(exp z)) and log(sum(exp(z / τ))) of the
        shifted logits, the part of J_aug that the logits decide; and y + γ (y^ - y~), [tokens, vocabulary], times the
        token's weight and in the type of the kernel.
    """
    logits = compiled_matmul(tf.cast(hidden, kernel.dtype), kernel, hidden.dtype)
    logits = logits if bias is None else logits + bias
    top = tf.reduce_max(logits, axis=1)
    shifted = logits - top[:, None]
    tempered = shifted * (1.0 / temperature)
    exponentials, tempered_exponentials = tf.exp(shifted), tf.exp(tempered)
    sums, tempered_sums = tf.reduce_sum(exponentials, axis=1), tf.reduce_sum(tempered_exponentials, axis=1)
    expected = _sum_of_products(estimated, tempered)
    prediction_part = tf.math.log(tempered_sums * (1.0 / logits.shape[1])) - expected
    pull = tempered_exponentials * (1.0 / tempered_sums)[:, None] - estimated
    d_logits = weights[:, None] * (exponentials * (1.0 / sums)[:, None] + gamma * pull)
    logs = tf.math.log(sums), tf.math.log(tempered_sums)
    return logits, top, *logs, prediction_part, tf.cast(d_logits, kernel.dtype)


def _sum_of_products(a, b):
    """Σ a b over the columns, for XLA, which stores a b before it reduces it.

    Groups of columns are added first, in one pass over a and b: 1.0 instead of 2.2 ms (Zen 5, [700, 10000]).
    """
    width = a.shape[1] // 10
    products = [a[:, i * width : (i + 1) * width] * b[:, i * width : (i + 1) * width] for i in range(10)]
    rest = tf.reduce_sum(a[:, 10 * width :] * b[:, 10 * width :], axis=1)
    return tf.reduce_sum(sum(products[1:], products[0]), axis=1) + rest


def _table_gradient(hidden, weights, kernel, bias, by_targets: _EstimatedTargets, estimate: TargetEstimate):
    """The gradient of γ τ J_aug with respect to the table L, through y~."""
    words, index, rows, similarity, by_word, _ = by_targets
    table, temperature, gamma, _ = estimate
    of_hidden, of_weights = (
        tf.math.unsorted_segment_sum(x, index, tf.shape(rows)[0]) for x in (weights[:, None] * hidden, weights)
    )
    d_similarity = _similarity_gradient(of_hidden, of_weights, kernel, bias, similarity, by_word, temperature)
    # The factor γ / τ is applied to the narrow side of the products.
    d_table = matmul(d_similarity, rows * (gamma / temperature), kernel.dtype.name, transpose_a=True)
    d_rows = matmul(d_similarity, table, kernel.dtype.name) * (gamma / temperature)
    return add_at(d_table, words[:, None], d_rows[: tf.shape(words)[0]])


@tf.function(jit_compile=True)
def _similarity_gradient(of_hidden, of_weights, kernel, bias, similarity, by_word, temperature):
    """The gradient of γ τ J_aug with respect to L u, but for a factor γ / τ, summed over the tokens of a target word.

    A token's is γ τ y~ (d - E_y~[d]) / τ with d = L u / τ - z / τ up to a constant. y~ and L u are those of the word,
    so that only z has to be summed, and the sum of z is W times the sum of h.

    Args:
        of_hidden: [words, units], the weighted sum of the hidden states of the word's tokens.
        of_weights: [words], the sum of the weights of the word's tokens.
        kernel: W, [vocabulary, units], in the type of the result.
        bias: b, or None.
        similarity: [words, vocabulary], L u / τ.
        by_word: [words, vocabulary], y~.
        temperature: τ.
    """
    of_logits = compiled_matmul(tf.cast(of_hidden, kernel.dtype), kernel, of_hidden.dtype)
    of_logits = of_logits if bias is None else of_logits + of_weights[:, None] * bias
    difference = of_weights[:, None] * temperature * similarity - of_logits
    expected = _sum_of_products(by_word, difference)
    return tf.cast(by_word * (difference - expected[:, None]), kernel.dtype)
