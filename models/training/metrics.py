"""Metrics that are sums over tokens, so that a short window counts by its tokens."""

import keras
import tensorflow as tf

from models.perplexity import LARGEST_EXPONENT


@keras.saving.register_keras_serializable(package="language_model")
class TokenMean(keras.metrics.Metric):
    """A sum over tokens divided by their number, in float64.

    `update_state(total, tokens)` adds a window's sum and its number of tokens.
    """

    def __init__(self, name="token_mean", **kwargs):
        super().__init__(name=name, **kwargs | {"dtype": "float64"})
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.tokens = self.add_variable((), "zeros", dtype="float64", name="tokens")

    def update_state(self, total, tokens):
        self.total.assign_add(tf.cast(total, tf.float64))
        self.tokens.assign_add(tf.cast(tokens, tf.float64))

    def result(self):
        return tf.math.divide_no_nan(tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.tokens))


@keras.saving.register_keras_serializable(package="language_model")
class Perplexity(TokenMean):
    """exp(sum of cross-entropies / tokens): never a mean of perplexities."""

    def __init__(self, name="perplexity", **kwargs):
        super().__init__(name=name, **kwargs)

    def result(self):
        return tf.exp(tf.minimum(super().result(), LARGEST_EXPONENT))
