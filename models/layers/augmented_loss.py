"""Cross-entropy and the augmented loss of "Tying Word Vectors and Word Classifiers", with one fused gradient.

Symbols as in the paper (arXiv 1611.01462, section 3): logits z = W h + b, y = softmax(z), tempered y^ = softmax(z / τ),
estimated target distribution y~ = softmax(L u / τ) with u = L[target], J = -log y[target], J_aug = KL(y~ || y^), and
the total J + α J_aug with α = γ τ, so that the augmented loss pulls on the logits with γ (y^ - y~).
"""

import tensorflow as tf

from models.layers.matmul import matmul
from models.layers.scatter import add_at, set_at

# Logits of so many (token, word) pairs are held at a time: 64 MiB. Larger batches or vocabularies go in chunks of rows.
MAX_LOGITS = 2**24


def augmented_loss(
    hidden,
    targets,
    kernel,
    bias=None,
    table=None,
    temperature=20.0,
    gamma=0.65,
    gradient_through_target=True,
    precision="float32",
    sample_weight=None,
):
    """Sum over tokens of J + γ τ J_aug, whose gradient is computed together with it.

    Nothing of shape [tokens, vocabulary] outlives the call, so its memory is bounded whatever the vocabulary.

    Args:
        hidden: float32 [tokens, units], the (masked) hidden states h.
        targets: int32 [tokens], ids of the target words y*.
        kernel: float32 [vocabulary, units], the projection W.
        bias: float32 [vocabulary] or None, the projection's b.
        table: float32 [vocabulary, units], the embedding L that y~ is made from, or None for cross-entropy alone.
        temperature: τ > 0, a float or a scalar tensor.
        gamma: γ >= 0, a float or a scalar tensor.
        gradient_through_target: Whether the gradient also flows through y~ into `table`. The paper leaves it open;
            trained to the end, it is what makes the augmented loss pay (experiments/README.md).
        precision: "float32", or "bfloat16" for the products of the gradient, of L u and, without augmented loss, of the
            logits. Rounded logits spoil the augmented loss, whose pull is a small difference of two softmaxes.
        sample_weight: float32 [tokens], what each token's share of the sum is multiplied by, or None for 1.

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
    def total_and_parts(hidden, kernel, *optional):
        optional = list(optional)
        bias = optional.pop(0) if has_bias else None
        table = optional.pop(0) if has_table else None
        output = kernel, tf.cast(kernel, precision) if precision == "bfloat16" else None, bias
        weights = tf.ones_like(hidden[:, 0]) if sample_weight is None else sample_weight
        chunks, order, parts = row_chunks(hidden.shape[0], kernel.shape[0]), None, []
        sums: dict[str, tf.Tensor] = {}
        if has_table and (gradient_through_target or len(chunks) > 1):
            # Tokens of one word side by side: their logits are summed in 2 ms instead of 8 of one core (Zen 4, 700
            # tokens, 10,000 words), and each chunk has few words whose target distribution it needs.
            order = tf.argsort(targets, stable=True)
            hidden, targets_in_order, weights_in_order = (tf.gather(x, order) for x in (hidden, targets, weights))
        else:
            targets_in_order, weights_in_order = targets, weights
        for rows in chunks:
            tokens = hidden[rows], targets_in_order[rows], weights_in_order[rows]
            # One chunk after the other: at once, each would hold its logits and gradients of the weights' size.
            with tf.control_dependencies(list(sums.values())):
                if table is None:
                    part = _cross_entropy(*tokens, *output)
                else:
                    part = _augmented(*tokens, *output, table, temperature, gamma, gradient_through_target)
                parts.append([part.pop(key) for key in ("ce", "augmented", "d_hidden")])
                sums = {key: sums[key] + value if sums else value for key, value in part.items()}
        by_token = [tf.concat(x, axis=0) for x in zip(*parts, strict=True)]
        if order is not None:
            places = tf.math.invert_permutation(order)
            by_token = [tf.gather(x, places) for x in by_token]
        cross_entropy, augmented, d_hidden = by_token
        gradients = [d_hidden, *(sums[key] for key in ("d_kernel", "d_bias", "d_table") if key in sums)]
        if has_table and not gradient_through_target:
            gradients.append(None)
        total = tf.reduce_sum(weights * cross_entropy) + gamma * temperature * tf.reduce_sum(weights * augmented)

        def gradient(upstream, *_):
            if tf.get_static_value(upstream) == 1.0:  # the loss itself: spares a pass over every gradient
                return gradients
            return [None if g is None else upstream * g for g in gradients]

        return (total, cross_entropy, augmented), gradient

    optional = [x for x in (bias, table) if x is not None]
    total, cross_entropy, augmented = total_and_parts(hidden, kernel, *optional)
    return total, tf.stop_gradient(cross_entropy), tf.stop_gradient(augmented)


def token_log_probabilities(logits, targets):
    """log y[target] at temperature 1: float32 [tokens] from logits [tokens, vocabulary] and targets [tokens]."""
    return -tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)


def row_chunks(tokens: int | None, vocabulary_size: int) -> list[slice]:
    """Slices of the tokens so short that their logits fit in `MAX_LOGITS`."""
    if tokens is None:  # known when the graph runs
        return [slice(None)]
    size = max(1, min(tokens, MAX_LOGITS // vocabulary_size))
    return [slice(start, min(start + size, tokens)) for start in range(0, tokens, size)]


def _cross_entropy(hidden, targets, weights, kernel, rounded, bias):
    """J and its gradients, of some tokens.

    y - y* is never formed. Its entry at the target, y[target] - 1 = -(the sum of all others), goes apart: formed as a
    difference it would lose the digits of a confident prediction. The sum is a column of ones in the product with W.

    Args:
        rounded: The kernel in bfloat16 if the products are to be in it, else None.
    """
    tokens, units, vocabulary_size = tf.shape(hidden)[0], hidden.shape[1], kernel.shape[0]
    kernel_or_rounded = kernel if rounded is None else rounded
    like = kernel_or_rounded.dtype
    logits = tf.matmul(tf.cast(hidden, like), kernel_or_rounded, transpose_b=True)
    logits = logits if bias is None else logits + tf.cast(bias, like)
    y = tf.nn.softmax(logits)
    places = tf.stack([tf.range(tokens), targets], axis=1)
    y_target = tf.gather_nd(y, places)
    others = add_at(y, places, -y_target)
    ones = tf.ones([vocabulary_size, 16 - units % 16], like)  # more than one, so that the product's width is even
    products = tf.cast(tf.matmul(others, tf.concat([kernel_or_rounded, ones], axis=1)), hidden.dtype)
    rest = products[:, units : units + 1]  # 1 - y[target]
    with tf.control_dependencies([products]):  # the layers wait for d_hidden; this product runs beside their steps
        weighted = weights[:, None] * hidden
        d_kernel = matmul(others, weighted, like.name, transpose_a=True)
    part = {
        "ce": _surprisal(tf.cast(y_target, hidden.dtype), rest[:, 0], logits, places),
        "augmented": tf.zeros([tokens], hidden.dtype),
        "d_hidden": weights[:, None] * (products[:, :units] - rest * tf.gather(kernel, targets)),
        "d_kernel": add_at(d_kernel, targets[:, None], -rest * weighted),
    }
    if bias is not None:
        d_bias = tf.reduce_sum(weights[:, None] * tf.cast(others, hidden.dtype), axis=0)
        part["d_bias"] = add_at(d_bias, targets[:, None], -weights * rest[:, 0])
    return part


def _surprisal(y_target, rest, logits, places):
    """-log y[target], from y[target] or, where that is nearly 1, from the sum of all others."""

    def far_below():  # where y[target] is next to 0, and its logarithm is not
        logits32, top = tf.cast(logits, y_target.dtype), tf.argmax(logits, axis=1, output_type=tf.int32)
        top = tf.stack([places[:, 0], top], axis=1)
        log_sum = tf.gather_nd(logits32, top) - tf.math.log(tf.gather_nd(tf.nn.softmax(logits32), top))
        return log_sum - tf.gather_nd(logits32, places)

    def plainly():
        return tf.where(rest < 0.5, -tf.math.log1p(-tf.minimum(rest, 0.5)), -tf.math.log(y_target))

    return tf.cond(tf.reduce_min(y_target) > 1e-30, plainly, far_below)


def _augmented(hidden, targets, weights, kernel, rounded, bias, table, temperature, gamma, gradient_through_target):
    """J, J_aug and their gradients, of some tokens. The logits are float32 products whatever the precision.

    y~ depends on the target word alone and is computed once a distinct word.
    """
    logits = tf.matmul(hidden, kernel, transpose_b=True)
    logits = logits if bias is None else logits + bias
    words, index = tf.unique(targets)
    rows = tf.gather(table, words)
    precision = hidden.dtype.name if rounded is None else "bfloat16"
    similarity = matmul(rows / temperature, table, precision, transpose_b=True)
    by_word = tf.nn.softmax(similarity)
    # The means instead of sums of exponentials cancel log V, which at a high temperature is a million times the result.
    vocabulary_size = tf.cast(kernel.shape[0], hidden.dtype)
    log_mean = -tf.math.log(tf.reduce_max(by_word, axis=1) * vocabulary_size)
    shifted = similarity - tf.reduce_max(similarity, axis=1, keepdims=True)
    target_part = log_mean - tf.reduce_sum(by_word * shifted, axis=1)

    estimated = tf.gather(by_word, index)
    top, log_sum, tempered_log_sum, prediction_part, d_logits = _fused_losses(
        logits, estimated, weights, temperature, gamma, precision
    )
    places = tf.stack([tf.range(tf.shape(hidden)[0]), targets], axis=1)
    below_top = tf.gather_nd(logits, places) - top
    cross_entropy = log_sum - below_top
    pull = tf.exp(below_top / temperature - tempered_log_sum) - tf.gather_nd(estimated, places)
    at_target = tf.cast(weights * (tf.math.expm1(-cross_entropy) + gamma * pull), precision)
    d_logits = set_at(d_logits, places, at_target)
    d_hidden = matmul(d_logits, kernel if rounded is None else rounded, precision)
    with tf.control_dependencies([d_hidden]):  # as above
        d_kernel = matmul(d_logits, hidden, precision, transpose_a=True)
    part = {
        "ce": cross_entropy,
        "augmented": prediction_part - tf.gather(target_part, index),
        "d_hidden": d_hidden,
        "d_kernel": d_kernel,
    }
    if bias is not None:
        part["d_bias"] = tf.reduce_sum(tf.cast(d_logits, hidden.dtype), axis=0)
    if gradient_through_target:
        # A pass over the logits that only the padded window at the end of an epoch needs.
        weighted = tf.cond(tf.reduce_all(weights == 1.0), lambda: logits, lambda: weights[:, None] * logits)
        of_logits, of_weights = (tf.math.segment_sum(x, index) for x in (weighted, weights))  # tokens are in word order
        d_similarity = _target_pull(of_logits, similarity, by_word, of_weights, temperature)
        # γ / τ goes on the narrow side of the products.
        d_table = matmul(d_similarity, rows * (gamma / temperature), precision, transpose_a=True)
        d_rows = matmul(d_similarity, table, precision) * (gamma / temperature)
        part["d_table"] = add_at(d_table, words[:, None], d_rows)
    return part


@tf.function(jit_compile=True)
def _fused_losses(logits, estimated, weights, temperature, gamma, precision):
    """What takes passes over the logits, which are shifted by their row's largest: of any size they do not overflow.

    KL(y~ || y^) is the difference of log(mean(exp x)) - E_y~[x] between x = z / τ and x = L u / τ; here for z / τ.

    Returns:
        [tokens]: the largest logit, log(sum(exp z)) and log(sum(exp(z / τ))) of the shifted logits, the part of J_aug
        that the logits decide; and y + γ (y^ - y~), [tokens, vocabulary], times the token's weight and in the type of
        the products that take it.
    """
    top = tf.reduce_max(logits, axis=1)
    shifted = logits - top[:, None]
    tempered = shifted * (1.0 / temperature)
    exponentials, tempered_exponentials = tf.exp(shifted), tf.exp(tempered)
    sums, tempered_sums = tf.reduce_sum(exponentials, axis=1), tf.reduce_sum(tempered_exponentials, axis=1)
    expected = tf.reduce_sum(estimated * tempered, axis=1)
    prediction_part = tf.math.log(tempered_sums * (1.0 / logits.shape[1])) - expected
    pull = tempered_exponentials * (1.0 / tempered_sums)[:, None] - estimated
    d_logits = tf.cast(weights[:, None] * (exponentials * (1.0 / sums)[:, None] + gamma * pull), precision)
    return top, tf.math.log(sums), tf.math.log(tempered_sums), prediction_part, d_logits


def _target_pull(of_logits, similarity, by_word, of_weights, temperature):
    """The gradient of γ τ J_aug with respect to L u, but for a factor γ / τ, summed over the tokens of a target word.

    A token's is γ τ y~ (d - E_y~[d]) / τ with d = L u / τ - z / τ up to a constant. y~ and L u are those of the word,
    so that only z has to be summed.

    Args:
        of_logits: [words, vocabulary], the weighted sum of the logits of the word's tokens.
        similarity: [words, vocabulary], L u / τ.
        by_word: [words, vocabulary], y~.
        of_weights: [words], the sum of the weights of the word's tokens.
    """
    pull = by_word * (of_weights[:, None] * temperature * similarity - of_logits)
    return pull - by_word * tf.reduce_sum(pull, axis=1, keepdims=True)
