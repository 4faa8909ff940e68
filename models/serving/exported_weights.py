"""A language model over exported weights: float32, or smaller types that the graph expands where it uses them."""

import numpy as np
import tensorflow as tf

from models.layers.lstm_loops import read_layers
from models.serving import stored_weights

DTYPES = ("float32", "float16", "int8")
MAX_UNITS_TOGETHER = 400  # up to this size layers are read in one loop; larger ones are faster one after another


class ExportedWeights(tf.Module):
    """The weights of a `LanguageModel` in the type they are exported in, which read text as the model itself does.

    Matrices may be stored as float16, or as int8 with one float32 scale a row (a row of the embedding is a word): the
    error of a value is then at most 0.4% of the largest of its row. Biases stay float32. All products are float32.

    Args:
        model: A built `LanguageModel`.
        dtype: "float32" (default), "float16" or "int8".

    Attributes:
        vocabulary_size, units, num_layers, embedding_units: Those of the model.
        weights: Variables, in the order of the model's trainable weights.
        scales: Scales [rows] by the place of their weight ("0", "1", ...); empty except for int8.

    Raises:
        ValueError: If `dtype` is none of the three.
    """

    def __init__(self, model, dtype: str = "float32"):
        super().__init__()
        if dtype not in DTYPES:
            raise ValueError(f"The weights cannot be exported as {dtype!r}; expected one of {', '.join(DTYPES)}.")
        self.vocabulary_size, self.units, self.num_layers = model.vocabulary_size, model.units, model.num_layers
        self.embedding_units, self._projected = model.embedding_units, model.projection is not None
        self._tied, self._has_bias = model.tie_embeddings, model.output_bias
        self.weights, self.scales = [], {}
        for place, weight in enumerate(model.trainable_variables):
            value = weight.numpy().astype(np.float32)
            name = weight.path.replace("/", "_")
            if dtype == "int8" and value.ndim == 2:
                scales = np.abs(value).max(-1) / 127
                scales[scales == 0] = 1.0
                value = np.rint(value / scales[:, None]).astype(np.int8)
                self.scales[str(place)] = tf.Variable(scales, trainable=False, name=f"{name}_scales")
            elif value.ndim == 2:
                value = value.astype(dtype)
            self.weights.append(tf.Variable(value, trainable=False, name=name))

    def zero_state(self, batch_size):
        """Returns the state before any text.

        Args:
            batch_size: Number of rows.

        Returns:
            float32 zeros [batch_size, num_layers, 2, units].
        """
        return tf.zeros([batch_size, self.num_layers, 2, self.units])

    def hidden_states(self, token_ids, state):
        """Reads tokens.

        Args:
            token_ids: int [batch, time].
            state: float32 [batch, num_layers, 2, units], before the first token.

        Returns:
            (hidden states of the last layer, projected if the model has a projection, float32
            [batch, time, embedding_units]; the new state).
        """
        layers = [
            [self.matrix(place) for place in stored_weights.layer_places(layer)] for layer in range(self.num_layers)
        ]
        hidden, states = self._rows(stored_weights.EMBEDDING, tf.transpose(token_ids)), tf.unstack(state, axis=1)
        if self.units <= MAX_UNITS_TOGETHER:
            hidden, states = read_layers(hidden, states, layers)
        else:
            for layer, weights in enumerate(layers):
                hidden, (states[layer],) = read_layers(hidden, [states[layer]], [weights])
        if self._projected:
            hidden = tf.tensordot(hidden, self.matrix(stored_weights.projection_place(self.num_layers)), 1)
        return tf.transpose(hidden, [1, 0, 2]), tf.stack(states, axis=1)

    def logits(self, hidden):
        """Computes logits.

        Args:
            hidden: Rows of what `hidden_states` returned, float32 [rows, embedding_units].

        Returns:
            float32 [rows, vocabulary].
        """
        output = stored_weights.output_place(self.num_layers, self._projected)
        place = stored_weights.EMBEDDING if self._tied else output
        kernel = tf.cast(tf.convert_to_tensor(self.weights[place]), tf.float32)
        logits = tf.matmul(hidden, kernel, transpose_b=True)
        if str(place) in self.scales:
            logits *= self.scales[str(place)]  # one for each word; cheaper than scaling the kernel
        return logits + self.weights[place + 1] if self._has_bias else logits

    def matrix(self, place: int):
        """Returns a weight as the products use it.

        Args:
            place: The weight's place in the order of the model's trainable weights.

        Returns:
            float32, of the weight's shape, with its scales applied.
        """
        value = tf.cast(tf.convert_to_tensor(self.weights[place]), tf.float32)
        return value * self.scales[str(place)][:, None] if str(place) in self.scales else value

    def _rows(self, place, rows):
        values = tf.cast(tf.gather(tf.convert_to_tensor(self.weights[place]), rows), tf.float32)
        if str(place) in self.scales:
            values *= tf.gather(tf.convert_to_tensor(self.scales[str(place)]), rows)[..., None]
        return values
