"""Penalties on the last layer's hidden states (Merity et al., "Revisiting Activation Regularization", 1708.01009)."""

import tensorflow as tf


def activation_penalty(
    hidden: tf.Tensor, weights: tf.Tensor, activation: float = 0.0, temporal: float = 0.0
) -> tf.Tensor:
    """Computes the penalty of a window: AR keeps hidden states small, TAR keeps them from changing quickly.

    With h_t of U units, dropped as the output layer sees it, and w_t the weight of the token that it predicts:

        Σ_t w_t (activation · |h_t|² / U + temporal · |h_t - h_(t-1)|² / U),    t - 1 within the window

    The publication takes h before dropout for TAR. Here the units that a window drops have no part in its penalty, and
    the others more, so that it is 1 / (1 - rate) times theirs on average.

    Args:
        hidden: float [time, batch, units].
        weights: float [time, batch].
        activation: Coefficient of AR (α in the publication).
        temporal: Coefficient of TAR (β in the publication).

    Returns:
        A scalar, summed over the tokens.
    """
    penalty = tf.zeros([], hidden.dtype)
    if activation:
        penalty += activation * tf.reduce_sum(weights * tf.reduce_mean(tf.square(hidden), axis=-1))
    if temporal:
        change = tf.reduce_mean(tf.square(hidden[1:] - hidden[:-1]), axis=-1)
        penalty += temporal * tf.reduce_sum(weights[1:] * change)
    return penalty
