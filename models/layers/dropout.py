"""What a training step drops: masks that depend only on the seed, the step, the place in the network and the lane.

Each factor of a mask is 0 where it drops and 1 / (1 - rate) where it keeps.
"""

from typing import NamedTuple

import tensorflow as tf


class DropoutRates(NamedTuple):
    """Probabilities of dropping, each in [0, 1).

    Attributes:
        inputs: Of the vectors that enter the first layer.
        hidden: Of every layer's hidden state.
        output: Of the last layer's hidden state where the output layer uses it, or None: one mask for all its uses, as
            in the paper.
        words: Of whole words, whose vectors are 0 wherever they are read.
        weights: Of each weight of the recurrent kernels.
    """

    inputs: float
    hidden: float
    output: float | None = None
    words: float = 0.0
    weights: float = 0.0


class DropoutMasks(NamedTuple):
    """The masks of one training step.

    Attributes:
        inputs: [lanes, features], of the vectors that enter the first layer.
        hidden: For each layer [lanes, units], of its hidden state, wherever it is used.
        output: [lanes, units], of the last layer's hidden state where the output layer uses it, instead of the last of
            `hidden`; or None.
        words: [vocabulary], of the vectors that are read, or None.
        recurrent: For each layer [units, 4 * units], of its recurrent kernel, or None.
    """

    inputs: tf.Tensor
    hidden: list[tf.Tensor]
    output: tf.Tensor | None = None
    words: tf.Tensor | None = None
    recurrent: list[tf.Tensor] | None = None

    def entering(self, embedded: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """Drops words, and what else does not enter the first layer.

        Args:
            embedded: Word vectors [time, lanes, features].
            ids: int [time, lanes], the words.

        Returns:
            The vectors that enter the first layer, [time, lanes, features].
        """
        if self.words is not None:
            embedded *= tf.gather(self.words, ids)[..., None]
        return embedded * self.inputs


def dropout_mask(rate: float, shape: tuple[int | tf.Tensor, ...], seed: tf.Tensor) -> tf.Tensor:
    """Draws an inverted-dropout mask.

    Args:
        rate: Probability of dropping, in [0, 1).
        shape: Shape of the mask.
        seed: int32 [2], a different one for every mask.

    Returns:
        float32, 0 where dropped and 1 / (1 - rate) where kept.
    """
    keep = tf.random.stateless_uniform(shape, seed) >= rate
    return tf.cast(keep, tf.float32) / (1.0 - rate)


def variational_mask(rate: float, shape: tuple[int | tf.Tensor, int], seed: tf.Tensor, lanes: tf.Tensor) -> tf.Tensor:
    """Draws a mask whose rows depend only on the seed and the lane.

    Every replica draws the masks of the whole batch and keeps the rows of its own lanes. So a lane's mask is the same
    on one device and on four, and in a run that was interrupted and one that was not.

    Args:
        rate: Probability of dropping, in [0, 1).
        shape: `(batch_size, units)` of the whole (global) batch.
        seed: int32 [2], a different one for every step and layer.
        lanes: int32 [batch], the rows of the global batch that this replica holds.

    Returns:
        float32 [batch, units], 0 where dropped and 1 / (1 - rate) where kept.
    """
    return tf.gather(dropout_mask(rate, shape, seed), lanes)


def draw_masks(
    rates: DropoutRates,
    sizes: tuple[int, int, int, int],
    batch_size: int | tf.Tensor,
    lanes: tf.Tensor,
    seed: tf.Tensor,
    dtype: str,
) -> DropoutMasks:
    """Draws the masks of a step. Those of words and weights are the same for all lanes and replicas.

    Args:
        rates: The probabilities of dropping.
        sizes: Size of the vocabulary, of the word vectors, of the hidden states, and number of layers.
        batch_size: Lanes of the whole batch.
        lanes: int32 [lanes], the lanes whose masks are returned.
        seed: int32 [2], of the step.
        dtype: Type of the masks.

    Returns:
        The masks.

    References:
        One mask for all steps of a window, and words: Gal & Ghahramani, arXiv 1512.05287. Weights: DropConnect on the
        recurrent kernels, Merity et al., "Regularizing and Optimizing LSTM Language Models" (arXiv 1708.02182).
    """
    vocabulary_size, features, units, num_layers = sizes

    def seed_of(place: int) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(seed, place)

    def of_lanes(rate: float, size: int, place: int) -> tf.Tensor:
        return tf.cast(variational_mask(rate, (batch_size, size), seed_of(place), lanes), dtype)

    def of_all(rate: float, shape: tuple[int, ...], place: int) -> tf.Tensor:
        return tf.cast(dropout_mask(rate, shape, seed_of(place)), dtype)

    layers, further = range(num_layers), num_layers + 1
    return DropoutMasks(
        inputs=of_lanes(rates.inputs, features, 0),
        hidden=[of_lanes(rates.hidden, units, 1 + layer) for layer in layers],
        output=None if rates.output is None else of_lanes(rates.output, units, further),
        words=of_all(rates.words, (vocabulary_size,), further + 1) if rates.words else None,
        recurrent=[of_all(rates.weights, (units, 4 * units), further + 2 + layer) for layer in layers]
        if rates.weights
        else None,
    )
