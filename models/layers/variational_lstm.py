"""The LSTM layer of the paper's "VD-LSTM": one dropout mask per example, held for every step."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from models.layers.lstm_loops import lstm, read_layers

Shape = Sequence[int | None]  # of a tensor; None where a size is not known yet


@keras.saving.register_keras_serializable(package="language_model")
class VariationalLSTM(keras.layers.Layer):
    """An LSTM layer whose hidden state is dropped by one mask for the whole window.

    The mask, one for each example and window, multiplies h wherever h is used: where it is fed back into the layer and
    where it goes up to the next layer (or to the softmax). The state that is returned is the unmasked h and c. Without
    dropout it is `keras.layers.LSTM`, with the same weights in the same order (gates i, f, c, o).

    Args:
        units: Size of the hidden state.
        dropout: Probability of *dropping*, in [0, 1). Default 0.
        return_sequences: Whether to return the hidden states of all steps (default) or only the last one.
        return_state: Whether to also return the last h and c. Default False.
        seed: Seed of the dropout masks, an integer, or None (default) for a random one.
        initializer: Initializer of all three weights. Default: `keras.initializers.RandomUniform(-0.1, 0.1)`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`. Where the compute dtype is
            bfloat16, training computes the products over all steps at once in bfloat16. Steps and sums are at least
            float32 under every policy, and the results are cast to the compute dtype.

    Call arguments:
        inputs: Floating-point [batch, time, features].
        initial_state: h and c, [batch, units] each, or None for zeros.
        mask: bool [batch, time] or None. Where it is False the state is held and the output repeated, as in
            `keras.layers.LSTM`.
        training: True drops, and compiles the loop over the steps with XLA for each new shape.

    Returns:
        Hidden states [batch, time, units], or [batch, units] without `return_sequences`; with `return_state` a tuple
        of those, h and c.

    Raises:
        ValueError: If `dropout` is not in [0, 1).

    Example:

    >>> layer = VariationalLSTM(4, dropout=0.5, seed=1)
    >>> layer(tf.ones([20, 35, 3]), training=True).shape
    TensorShape([20, 35, 4])

    References:
        Gal & Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks" (2016);
        Inan et al., "Tying Word Vectors and Word Classifiers" (arXiv 1611.01462), section 4.
    """

    def __init__(
        self,
        units: int,
        dropout: float = 0.0,
        return_sequences: bool = True,
        return_state: bool = False,
        seed: int | None = None,
        initializer: str | keras.initializers.Initializer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise ValueError(f"VariationalLSTM: dropout is a probability of dropping in [0, 1), not {dropout!r}.")
        self.units = units
        self.dropout = dropout
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.seed = seed
        self.initializer = keras.initializers.get(initializer or keras.initializers.RandomUniform(-0.1, 0.1))
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None
        self.supports_masking = True

    def build(self, inputs_shape: Shape, initial_state_shape: Any = None) -> None:
        """Creates the weights.

        Args:
            inputs_shape: Shape of the inputs, [batch, time, features].
            initial_state_shape: Ignored.
        """
        shapes = {
            "kernel": (inputs_shape[-1], 4 * self.units),
            "recurrent_kernel": (self.units, 4 * self.units),
            "bias": (4 * self.units,),
        }
        for name, shape in shapes.items():
            weight = self.add_weight(name=name, shape=shape, initializer=self.initializer.clone(), autocast=False)
            setattr(self, name, weight)

    def call(
        self,
        inputs: tf.Tensor,
        initial_state: Sequence[tf.Tensor] | None = None,
        mask: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor | tuple[tf.Tensor, ...]:
        """Runs the layer; the class documents arguments and results.

        Args:
            inputs: Floating-point [batch, time, features].
            initial_state: h and c, [batch, units] each, or None for zeros.
            mask: bool [batch, time], False where the state is held, or None.
            training: Whether to drop.
        """
        dtype = self._step_dtype()
        inputs = tf.cast(tf.transpose(inputs, [1, 0, 2]), dtype)
        zeros = tf.zeros([tf.shape(inputs)[1], self.units], dtype)
        zeros.set_shape([inputs.shape[1], self.units])
        state = [zeros, zeros] if initial_state is None else [tf.cast(x, dtype) for x in initial_state]
        dropout_mask = tf.ones_like(zeros)
        if training and self.dropout:
            dropout_mask = keras.random.dropout(dropout_mask, self.dropout, seed=self.seed_generator)
        keep = None if mask is None else tf.cast(tf.transpose(mask)[..., None], dtype)
        hiddens, h, c = lstm(
            inputs, self._weights(), dropout_mask, state, keep, self._precision(training), bool(training)
        )
        if keep is not None:
            hiddens *= tf.cast(tf.cumsum(keep) > 0, dtype)  # as in Keras, the output is 0 before the first step
        output = tf.transpose(hiddens, [1, 0, 2]) if self.return_sequences else hiddens[-1]
        results = [tf.cast(x, self.compute_dtype) for x in (output, h, c)]
        return tuple(results) if self.return_state else results[0]

    def run(
        self,
        inputs: tf.Tensor,
        state: tf.Tensor,
        dropout_mask: tf.Tensor | None = None,
        output_mask: tf.Tensor | None = None,
        recurrent_mask: tf.Tensor | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads a window of text for `LanguageModel`: time first, with a given mask and state.

        Truncated back-propagation through time: no gradient flows into or out of the state between windows.

        Args:
            inputs: float32 [time, batch, features], time first.
            state: float32 [batch, 2, units], h then c.
            dropout_mask: float32 [batch, units], of h wherever it is used, or None to drop nothing; for training only,
                as the other masks.
            output_mask: float32 [batch, units], of the hidden states that are returned. Default None: `dropout_mask`.
            recurrent_mask: float32 [units, 4 * units], of the recurrent kernel. Default None: none of it is dropped.
            training: True keeps what the gradient needs and compiles the loop with XLA; False (default) runs a plain
                loop of any length and batch, which exports to a SavedModel.

        Returns:
            (masked hidden states [time, batch, units], state [batch, 2, units] after the last step).
        """
        if not training:
            hiddens, (state,) = read_layers(inputs, [state], [self._weights()])
            return hiddens, state
        h, c = tf.unstack(tf.stop_gradient(state), axis=1)
        mask = tf.ones_like(h) if dropout_mask is None else dropout_mask
        weights = self._weights()
        if recurrent_mask is not None:
            weights[1] *= recurrent_mask
        hiddens, h, c = lstm(inputs, weights, mask, (h, c), None, self._precision(training), output_mask=output_mask)
        return hiddens, tf.stop_gradient(tf.stack([h, c], axis=1))

    def compute_output_shape(self, inputs_shape: Shape, initial_state_shape: Any = None) -> tuple[Any, ...]:
        """Returns the shapes of what `call` returns.

        Args:
            inputs_shape: Shape of the inputs, [batch, time, features].
            initial_state_shape: Ignored.
        """
        batch, time, _ = inputs_shape
        output = (batch, time, self.units) if self.return_sequences else (batch, self.units)
        return (output, (batch, self.units), (batch, self.units)) if self.return_state else output

    def compute_mask(self, inputs: Any, previous_mask: tf.Tensor | None = None) -> Any:
        """Returns the mask of what `call` returns: that of the inputs for all steps, else None.

        Args:
            inputs: Ignored.
            previous_mask: Mask of the inputs, bool [batch, time], or None.
        """
        mask = previous_mask if self.return_sequences else None
        return (mask, None, None) if self.return_state else mask

    def _weights(self) -> list[tf.Tensor]:
        return [tf.cast(weight, self._step_dtype()) for weight in (self.kernel, self.recurrent_kernel, self.bias)]

    def _step_dtype(self) -> str:
        """The type of steps, states and sums: at least float32, whatever the policy computes in."""
        return keras.backend.result_type(self.variable_dtype, "float32")

    def _precision(self, training: bool | None) -> str:
        """The type of the products over all steps at once."""
        return "bfloat16" if training and self.compute_dtype == "bfloat16" else self._step_dtype()

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.dropout,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "seed": self.seed,
            "initializer": keras.initializers.serialize(self.initializer),
        }
