"""How `generate` chooses the next token: temperature, top-k, nucleus, and a seed for each row."""

import tensorflow as tf


def choose_tokens(logits, temperature, top_k, top_p, seed, step):
    """Chooses one token for each row, from that row's inputs only.

    Sampling adds Gumbel noise and takes the largest: the result is a draw from the softmax. It does not depend on the
    other rows of the batch, since a difference in rounding almost never changes which value is largest (it would in a
    search through cumulated probabilities).

    Args:
        logits: float32 `[rows, vocabulary]`, -inf for tokens that must not be chosen.
        temperature: float32 `[rows]`, finite; 0 takes the most probable token.
        top_k: int32 `[rows]`; only the `top_k` most probable tokens are drawn from; 0 means all.
        top_p: float32 `[rows]`; only the most probable tokens that together reach this probability (the one that
            reaches it included) are drawn from, after temperature and `top_k`; 0 means the most probable one, 1 all.
        seed: int32 `[rows]`, the seed of the row's noise.
        step: int32 scalar, the number of the draw, which gives each draw other noise.

    Returns:
        Token ids, int32 `[rows]`.
    """
    sampled = temperature > 0
    temperature = tf.where(sampled, tf.clip_by_value(temperature, 1e-6, 1e6), 1.0)  # no 0 / 0, no inf / inf
    top_p = tf.where(top_p < 1, top_p, 2.0)  # 2 is never reached: all tokens
    restricted = sampled & ((top_k > 0) | (top_p < 1))

    def draw():
        scaled = (logits - tf.reduce_max(logits, -1, keepdims=True)) / temperature[:, None]
        scaled = tf.cond(tf.reduce_any(restricted), lambda: _restrict(scaled, top_k, top_p), lambda: scaled)
        noise = tf.map_fn(lambda s: _gumbel(s, step, logits.shape[-1]), seed, fn_output_signature=tf.float32)
        return tf.where(sampled[:, None], scaled + noise, logits)

    return tf.argmax(tf.cond(tf.reduce_any(sampled), draw, lambda: logits), -1, output_type=tf.int32)


def _restrict(logits, top_k, top_p):
    """Sets to -inf what `top_k` and `top_p` exclude."""
    size = logits.shape[-1]
    order = tf.argsort(logits, -1, direction="DESCENDING", stable=True)
    ranked = tf.gather(logits, order, batch_dims=1)
    kept_by_k = tf.where(top_k > 0, tf.minimum(top_k, size), size)  # [rows]
    ranked = tf.where(tf.sequence_mask(kept_by_k, size), ranked, -float("inf"))
    probability_before = tf.cumsum(tf.nn.softmax(ranked), axis=-1, exclusive=True)
    kept_by_p = tf.reduce_sum(tf.cast(probability_before < top_p[:, None], tf.int32), -1)
    last = tf.clip_by_value(tf.minimum(kept_by_k, kept_by_p) - 1, 0, size - 1)  # rank of the last token kept
    last_logit = tf.gather(ranked, last, batch_dims=1)[:, None]
    last_id = tf.gather(order, last, batch_dims=1)[:, None]
    # Equal logits are ranked by id, so that exactly `top_k` tokens remain even if logits are equal.
    kept = (logits > last_logit) | ((logits == last_logit) & (tf.range(size) <= last_id))
    return tf.where(kept, logits, -float("inf"))


def _gumbel(seed, step, size):
    # "philox" rather than the device's own choice: the same seed gives the same text on a CPU and on a GPU.
    uniform = tf.random.stateless_uniform([size], [seed, step], minval=1e-20, alg="philox")
    return -tf.math.log(-tf.math.log(uniform))
