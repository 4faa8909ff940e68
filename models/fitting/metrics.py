"""Metrics that are sums over tokens, so that a short window counts only as much as its tokens."""

from typing import Any

import keras
import tensorflow as tf

from models.perplexity import LARGEST_EXPONENT


@keras.saving.register_keras_serializable(package="language_model")
class TokenMean(keras.metrics.Metric):
    """A sum over tokens divided by their number, in float64.

    Args:
        name: Name of the metric, a key of the history. Default "token_mean".
        **kwargs: Arguments of `keras.metrics.Metric`; `dtype` is ignored.
    """

    def __init__(self, name: str = "token_mean", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs | {"dtype": "float64"})
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.tokens = self.add_variable((), "zeros", dtype="float64", name="tokens")

    def update_state(self, total: tf.Tensor | float, tokens: tf.Tensor | float) -> None:
        """Adds a window.

        Args:
            total: Scalar, the sum over the window's tokens.
            tokens: Scalar, the number of its tokens, or the sum of their weights.
        """
        self.total.assign_add(tf.cast(total, tf.float64))
        self.tokens.assign_add(tf.cast(tokens, tf.float64))

    def result(self) -> tf.Tensor:
        """The mean a token, a float64 scalar; 0 before the first token."""
        return tf.math.divide_no_nan(tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.tokens))


@keras.saving.register_keras_serializable(package="language_model")
class Perplexity(TokenMean):
    """exp(sum of cross-entropies / tokens), which is not a mean of perplexities.

    Args:
        name: Name of the metric, a key of the history. Default "perplexity".
        **kwargs: Arguments of `keras.metrics.Metric`; `dtype` is ignored.
    """

    def __init__(self, name: str = "perplexity", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def result(self) -> tf.Tensor:
        """The perplexity, a float64 scalar that is always finite."""
        return tf.exp(tf.minimum(super().result(), LARGEST_EXPONENT))
