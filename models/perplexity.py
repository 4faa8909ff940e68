"""Perplexity: exp of the mean cross-entropy a token."""

import math

LARGEST_EXPONENT = 700.0  # exp of more is not finite in float64


def perplexity(cross_entropy: float) -> float:
    """Computes a perplexity.

    Args:
        cross_entropy: Mean cross-entropy a token, in nats.

    Returns:
        Its exp, at most exp(`LARGEST_EXPONENT`), so that it is finite; NaN stays NaN.
    """
    return math.exp(min(cross_entropy, LARGEST_EXPONENT))
