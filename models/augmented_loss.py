"""Cross-entropy and the augmented loss of "Tying Word Vectors and Word Classifiers", with one fused gradient.

Symbols as in the paper (arXiv 1611.01462, section 3): logits z = W h + b, y = softmax(z), tempered y^ = softmax(z / τ),
estimated target distribution y~ = softmax(L u / τ) with u = L[target], J = -log y[target], J_aug = KL(y~ || y^), and
the total J + α J_aug with α = γ τ, so that the augmented loss pulls on the logits with γ (y^ - y~).
"""

import tensorflow as tf

from models.products import product

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
    gradient_through_target=False,
    precision="float32",
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
        gradient_through_target: Whether the gradient also flows through y~ into `table`. The paper leaves it open.
        precision: "float32", or "bfloat16" for the products of the gradient and, without augmented loss, of the logits.
            Rounded logits spoil the augmented loss, whose pull is a small difference of two softmaxes.

    Returns:
        (total, cross_entropy, augmented): the differentiable scalar, in nats, and the tokens' J and J_aug, [tokens]
        each, which carry no gradient.
    """
    temperature, gamma = (tf.convert_to_tensor(x, tf.float32) for x in (temperature, gamma))
    has_bias, has_table = bias is not None, table is not None

    @tf.custom_gradient
    def total_and_parts(hidden, kernel, *optional):
        optional = list(optional)
        bias = optional.pop(0) if has_bias else None
        table = optional.pop(0) if has_table else None
        parts = []
        for rows in _row_chunks(hidden.shape[0], kernel.shape[0]):
            logits = product(hidden[rows], kernel, "float32" if has_table else precision, transpose_b=True)
            logits = logits if bias is None else logits + bias
            parts.append(_chunk(logits, hidden[rows], targets[rows], kernel, table, has_bias))
        joined = {key: [part[key] for part in parts] for key in parts[0]}
        cross_entropy, augmented, d_hidden = (tf.concat(joined[k], axis=0) for k in ("ce", "augmented", "d_hidden"))
        gradients = [d_hidden, *(tf.add_n(joined[k]) for k in ("d_kernel", "d_bias", "d_table") if k in joined)]
        if has_table and not gradient_through_target:
            gradients.append(None)
        total = tf.reduce_sum(cross_entropy) + gamma * temperature * tf.reduce_sum(augmented)

        def gradient(upstream, *_):
            return [None if g is None else upstream * g for g in gradients]

        return (total, cross_entropy, augmented), gradient

    def _chunk(logits, hidden, targets, kernel, table, has_bias):
        if table is None:
            ce, d_logits = _cross_entropy(logits, targets, precision)
            part = {"ce": ce, "augmented": tf.zeros_like(ce)}
        else:
            words, index = _distinct(targets)
            rows = tf.gather(table, words)
            similarity = tf.matmul(rows, table, transpose_b=True) / temperature
            if gradient_through_target:
                ce, aug, d_logits, d_similarity = _cross_entropy_and_target_pull(
                    logits, targets, similarity, index, temperature, gamma, precision
                )
                d_similarity = tf.math.unsorted_segment_sum(d_similarity, index, tf.shape(words)[0]) / temperature
                d_table = tf.matmul(d_similarity, rows, transpose_a=True)
                d_table = tf.tensor_scatter_nd_add(d_table, words[:, None], tf.matmul(d_similarity, table))
                part = {"ce": ce, "augmented": aug, "d_table": d_table}
            else:
                ce, aug, d_logits = _cross_entropy_and_pull(
                    logits, targets, similarity, index, temperature, gamma, precision
                )
                part = {"ce": ce, "augmented": aug}
        part["d_hidden"] = product(d_logits, kernel, precision)
        part["d_kernel"] = product(d_logits, hidden, precision, transpose_a=True)
        if has_bias:
            part["d_bias"] = tf.reduce_sum(tf.cast(d_logits, tf.float32), axis=0)
        return part

    optional = [x for x in (bias, table) if x is not None]
    total, cross_entropy, augmented = total_and_parts(hidden, kernel, *optional)
    return total, tf.stop_gradient(cross_entropy), tf.stop_gradient(augmented)


def token_log_probabilities(logits, targets):
    """log y[target] at temperature 1: float32 [tokens] from logits [tokens, vocabulary] and targets [tokens]."""
    return -tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)


def _row_chunks(tokens: int, vocabulary_size: int) -> list[slice]:
    size = max(1, min(tokens, MAX_LOGITS // vocabulary_size))
    return [slice(start, min(start + size, tokens)) for start in range(0, tokens, size)]


def _distinct(targets):
    """The distinct target words and each token's place among them.

    y~ depends on the target word alone, so it is computed once a distinct word. The list is padded with word 0 to one
    of eight lengths, since XLA compiles anew for every shape.
    """
    words, index = tf.unique(targets)
    multiple = -(-targets.shape[0] // 8)
    padding = -tf.shape(words)[0] % multiple
    return tf.pad(words, [[0, padding]]), index


@tf.function(jit_compile=True)
def _cross_entropy(logits, targets, precision):
    """J [tokens] and its gradient y - y* [tokens, vocabulary], in the type of the products that take it."""
    shifted, exponentials, sums = _exponentials(logits)
    is_target = _one_hot(targets, logits)
    cross_entropy = tf.math.log(sums[:, 0]) - tf.reduce_sum(tf.where(is_target, shifted, 0.0), axis=1)
    return cross_entropy, tf.cast(exponentials / sums - tf.cast(is_target, tf.float32), precision)


@tf.function(jit_compile=True)
def _cross_entropy_and_pull(logits, targets, similarity, index, temperature, gamma, precision):
    cross_entropy, augmented, d_logits, *_ = _augmented(logits, targets, similarity, index, temperature, gamma)
    return cross_entropy, augmented, tf.cast(d_logits, precision)


@tf.function(jit_compile=True)
def _cross_entropy_and_target_pull(logits, targets, similarity, index, temperature, gamma, precision):
    cross_entropy, augmented, d_logits, estimated, difference = _augmented(
        logits, targets, similarity, index, temperature, gamma
    )
    centred = difference - tf.reduce_sum(estimated * difference, axis=1, keepdims=True)
    return cross_entropy, augmented, tf.cast(d_logits, precision), gamma * temperature * estimated * centred


def _augmented(logits, targets, similarity, index, temperature, gamma):
    """J, J_aug, the gradient of their total with respect to z, y~ and log(y~ / y^) up to a constant a row.

    KL(y~ || y^) is taken as the difference of log(mean(exp x)) - E_y~[x] between x = z / τ and x = L u / τ, both
    shifted by their maximum. The means instead of sums cancel log V, which at a high τ is a million times the result.
    """
    scale = 1.0 / logits.shape[1]
    shifted, exponentials, sums = _exponentials(logits)
    tempered = shifted / temperature
    tempered_exponentials = tf.exp(tempered)
    tempered_sums = tf.reduce_sum(tempered_exponentials, axis=1, keepdims=True)
    similarity, target_exponentials, target_sums = _exponentials(similarity)
    target = target_exponentials / target_sums
    target_part = tf.math.log(target_sums * scale) - tf.reduce_sum(target * similarity, axis=1, keepdims=True)

    estimated = tf.gather(target, index)
    prediction_part = tf.math.log(tempered_sums * scale) - tf.reduce_sum(estimated * tempered, axis=1, keepdims=True)
    augmented = (prediction_part - tf.gather(target_part, index))[:, 0]
    is_target = _one_hot(targets, logits)
    cross_entropy = tf.math.log(sums[:, 0]) - tf.reduce_sum(tf.where(is_target, shifted, 0.0), axis=1)
    pull = tempered_exponentials / tempered_sums - estimated
    d_logits = exponentials / sums - tf.cast(is_target, tf.float32) + gamma * pull
    return cross_entropy, augmented, d_logits, estimated, tf.gather(similarity, index) - tempered


def _exponentials(x):
    """x minus its rows' maximum, exp of that, and the rows' sums [rows, 1]; logits of any size do not overflow."""
    x = x - tf.reduce_max(x, axis=1, keepdims=True)
    exponentials = tf.exp(x)
    return x, exponentials, tf.reduce_sum(exponentials, axis=1, keepdims=True)


def _one_hot(targets, logits):
    return tf.range(logits.shape[1])[None, :] == tf.cast(targets, tf.int32)[:, None]
