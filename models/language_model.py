"""The language model: embedding, variational-dropout LSTM layers, a (tied) output layer, the paper's training step."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from models.arguments import check_dropout, check_loss, check_network, check_penalties, check_types
from models.fitting.window_training import WindowTraining
from models.layers.activation_regularization import activation_penalty
from models.layers.augmented_loss import augmented_loss, row_chunks, token_log_probabilities
from models.layers.dropout import DropoutMasks, DropoutRates, draw_masks
from models.layers.scatter import add_at
from models.layers.tied_dense import TiedDense
from models.layers.variational_lstm import VariationalLSTM


@keras.saving.register_keras_serializable(package="language_model")
class LanguageModel(WindowTraining):
    """A word-level LSTM language model after Inan, Khosravi and Socher (arXiv 1611.01462, section 3).

    The paper's four variants are two switches: `tie_embeddings` (+RE) and `augmented` (+AL); both on is +REAL. It is
    trained on data sets of `models.windows`, which carry the state from window to window.

    Args:
        vocabulary_size: Number of words V, `<unk>` and `<eos>` included.
        units: Size of the hidden states, and of the word vectors unless `embedding_units` is given.
        num_layers: Number of LSTM layers. Default 2.
        embedding_units: Size of the word vectors. If it is not `units`, a matrix [units, embedding_units] without a
            bias (the projection) multiplies the last layer's hidden states before the output layer (Melis et al.,
            arXiv 1707.05589). Default None: `units`, without a projection.
        dropout: Probability of *dropping*, in [0, 1), of the vectors that enter the first layer and of every layer's
            hidden state, wherever it is used. Default 0.
        input_dropout: A separate probability for the vectors that enter the first layer. Default None: `dropout`.
        output_dropout: A separate probability, with a separate mask, for the last layer's hidden state where the output
            layer uses it; `dropout` then applies where that layer uses it itself. Default None: one mask for both.
        embedding_dropout: Probability of dropping a word: its vector is 0 wherever a window reads it. Default 0.
        weight_dropout: Probability of dropping each weight of the recurrent kernels. Default 0.
        tie_embeddings: Whether the output layer's kernel is the embedding. Default True.
        output_bias: Whether an untied output layer has a bias. Default False.
        init_scale: Weights start uniform in [-init_scale, init_scale]. Default 0.1.
        augmented: Whether training adds the augmented loss. Default True.
        temperature: τ of the augmented loss. Default 20.
        gamma: γ of the augmented loss; α = γ τ. Default 0.65.
        gradient_through_target: Whether the gradient flows through the target distribution. Default: if it is no copy.
        target: The embedding that the estimated target distribution y~ is made from: "current" (the paper's; default),
            "held" (a copy that is renewed at intervals) or "average" (a moving average), as target networks in
            reinforcement learning. The copy is the weight `target_table`; the callback `TargetEmbedding` renews it.
        activation_regularization: Coefficient of the mean square of the last layer's hidden state (after dropout,
            before the projection) in the loss of a token, in nats. No metric has it. Default 0.
        temporal_activation_regularization: That of the mean square of its change from token to token. Default 0.
        precision: Type of the large products of training, "bfloat16" or that of the weights. Default None: the compute
            type of `dtype`. Logits and softmaxes of the augmented loss, sums over tokens and evaluation are never
            rounded; without the augmented loss, logits and softmax are.
        seed: Seed of the dropout masks. Default 1.
        **kwargs: Arguments of `keras.Model`. `dtype` is "float32", "float64" or "mixed_bfloat16".

    Call arguments:
        token_ids: int [batch, time].
        state: float [batch, num_layers, 2, units] (h, then c), or None for zeros.
        training: Whether to drop, with new masks at every call. Default False.
        return_state: Whether to also return the state after the last token. Default False.

    Returns:
        Logits [batch, time, V]; with `return_state` (logits, state).

    Raises:
        ValueError: If an argument is out of its range, or an option of the augmented loss is given without it.

    Example:

    >>> import keras
    >>> from models import LanguageModel, windows
    >>> keras.utils.set_random_seed(1)
    >>> train = windows([3, 4, 5, 6, 1] * 40, batch_size=4, sequence_length=10)
    >>> model = LanguageModel(vocabulary_size=10, units=8, temperature=5.0)
    >>> model.compile(optimizer=keras.optimizers.SGD(1.0, global_clipnorm=5.0))
    >>> history = model.fit(train, validation_data=train, epochs=3, verbose=0)
    >>> sorted(history.history)
    ['augmented_loss', 'clipped', 'gradient_norm', 'loss', 'perplexity', 'val_loss', 'val_perplexity']
    >>> history.history["perplexity"][0] > history.history["perplexity"][-1]
    True
    >>> model(keras.ops.zeros([4, 7], "int32")).shape
    TensorShape([4, 7, 10])
    """

    def __init__(
        self,
        vocabulary_size: int,
        units: int,
        num_layers: int = 2,
        embedding_units: int | None = None,
        dropout: float = 0.0,
        input_dropout: float | None = None,
        output_dropout: float | None = None,
        embedding_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        tie_embeddings: bool = True,
        output_bias: bool = False,
        init_scale: float = 0.1,
        augmented: bool = True,
        temperature: float | None = None,
        gamma: float | None = None,
        gradient_through_target: bool | None = None,
        target: str = "current",
        activation_regularization: float = 0.0,
        temporal_activation_regularization: float = 0.0,
        precision: str | None = None,
        seed: int = 1,
        **kwargs: Any,
    ) -> None:
        # Keras must not cast inputs and state: under a mixed policy they keep the type of the weights, like the logits.
        super().__init__(**kwargs, autocast=False)
        check_network(vocabulary_size, units, num_layers, embedding_units, init_scale)
        rates = {"dropout": dropout, "input_dropout": input_dropout, "output_dropout": output_dropout}
        check_dropout(**rates, embedding_dropout=embedding_dropout, weight_dropout=weight_dropout)
        check_loss(augmented, temperature, gamma, gradient_through_target, target)
        check_penalties(
            activation_regularization=activation_regularization,
            temporal_activation_regularization=temporal_activation_regularization,
        )
        self.vocabulary_size, self.units, self.num_layers = vocabulary_size, units, num_layers
        self.embedding_units, self.init_scale = embedding_units or units, init_scale
        self.dropout, self.input_dropout, self.output_dropout = dropout, input_dropout, output_dropout
        self.embedding_dropout, self.weight_dropout = embedding_dropout, weight_dropout
        inputs = dropout if input_dropout is None else input_dropout
        self._rates = DropoutRates(inputs, dropout, output_dropout, embedding_dropout, weight_dropout)
        self.activation_regularization = activation_regularization
        self.temporal_activation_regularization = temporal_activation_regularization
        self.tie_embeddings, self.output_bias = tie_embeddings, output_bias
        self.augmented, self.target, self.seed = augmented, target, seed
        self.temperature = (20.0 if temperature is None else temperature) if augmented else None
        self.gamma = (0.65 if gamma is None else gamma) if augmented else None
        if gradient_through_target is None:
            gradient_through_target = augmented and target == "current"
        self.gradient_through_target = gradient_through_target
        self.precision = precision or self.compute_dtype
        check_types(self.dtype_policy.name, self.precision, self.variable_dtype)
        self._make_layers()
        self._call_seeds = keras.random.SeedGenerator(seed)
        self._prepare_training()
        self.built = True

    def _make_layers(self) -> None:
        units, features, dtype = self.units, self.embedding_units, self.variable_dtype

        def uniform() -> keras.initializers.Initializer:
            return keras.initializers.RandomUniform(-self.init_scale, self.init_scale)

        # Only the LSTM layers' large products are rounded: the output layer must not be, for the loss.
        rounded = "mixed_bfloat16" if self.precision == "bfloat16" else dtype
        self.embedding = keras.layers.Embedding(
            self.vocabulary_size, features, embeddings_initializer=uniform(), dtype=dtype, name="embedding"
        )
        self.lstm_layers = [
            VariationalLSTM(units, initializer=uniform(), dtype=rounded, name=f"lstm_{i}")
            for i in range(self.num_layers)
        ]
        self.projection = None
        if features != units:
            self.projection = keras.layers.Dense(
                features, use_bias=False, kernel_initializer=uniform(), dtype=dtype, name="projection"
            )
            self.projection.build((None, units))
        tied_to = self.embedding if self.tie_embeddings else None
        self.output_layer = TiedDense(
            self.vocabulary_size, tied_to, self.output_bias, uniform(), dtype=dtype, name="output"
        )
        self.embedding.build()
        for i, layer in enumerate(self.lstm_layers):
            layer.build((None, None, units if i else features))
        self.output_layer.build((None, features))
        self.target_table = None
        if self.augmented and self.target != "current":
            shape = self.vocabulary_size, features
            self.target_table = self.add_weight(name="target_table", shape=shape, trainable=False)
            self.target_table.assign(self.embedding.embeddings)

    def export(
        self,
        filepath: str,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Exports the model as `keras.Model.export` does.

        What the pipeline pushes, with the tokenizer and TensorFlow Serving's signatures, is written by
        `models.serving.export` instead.

        Args:
            filepath: Where to write.
            format: As for `keras.Model.export`.
            verbose: As for `keras.Model.export`.
            input_signature: As for `keras.Model.export`. Default None: int32 ids [batch, time].
            **kwargs: Further arguments of `keras.Model.export`.
        """
        ids = keras.InputSpec(shape=(None, None), dtype="int32")
        super().export(filepath, format, verbose, input_signature or [ids], **kwargs)

    def zero_state(self, batch_size: int | tf.Tensor) -> tf.Tensor:
        """Returns the state before any text.

        Args:
            batch_size: Number of rows.

        Returns:
            Zeros [batch_size, num_layers, 2, units], in the type of the weights.
        """
        return tf.zeros([batch_size, self.num_layers, 2, self.units], self.variable_dtype)

    def hidden_states(self, token_ids: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads tokens without dropout.

        Args:
            token_ids: int [batch, time].
            state: float32 [batch, num_layers, 2, units].

        Returns:
            (hidden states of the last layer, projected if there is a projection, float32
            [batch, time, embedding_units]; the new state).
        """
        embedded = tf.gather(tf.convert_to_tensor(self.embedding.embeddings), tf.transpose(token_ids))
        hidden, state = self._lstm(embedded, state)
        return tf.transpose(self._projected(hidden), [1, 0, 2]), state

    def logits(self, hidden: tf.Tensor) -> tf.Tensor:
        """Computes logits.

        Args:
            hidden: What `hidden_states` returned, float [..., embedding_units].

        Returns:
            Logits [..., V], in the type of the weights.
        """
        return self.output_layer(hidden)

    def call(
        self, token_ids: tf.Tensor, state: tf.Tensor | None = None, training: bool = False, return_state: bool = False
    ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        """Reads tokens and returns logits; the class documents the arguments."""
        batch_size = tf.shape(token_ids)[0]
        state = self.zero_state(batch_size) if state is None else state
        ids, masks = tf.transpose(token_ids), None
        embedded = self.embedding(ids)  # `embeddings` itself would be rounded here under a mixed policy
        if training and any(self._rates):
            masks = self._draw_masks(batch_size, tf.range(batch_size), self._call_seeds.next())
            embedded = masks.entering(embedded, ids)
        hidden, state = self._lstm(embedded, state, masks)
        logits = self.logits(tf.transpose(self._projected(hidden), [1, 0, 2]))
        return (logits, state) if return_state else logits

    def window_gradients(
        self,
        token_ids: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        state: tf.Tensor,
        masks: DropoutMasks | None = None,
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """Computes the gradient of the loss of one window, summed over its tokens.

        Args:
            token_ids, targets: int32 [batch, time].
            weights: float [batch, time], the factor of each token in the sum.
            state: float [batch, num_layers, 2, units], before the window.
            masks: What to drop; None (default) drops nothing.

        Returns:
            (dense gradients in the order of `trainable_variables`; sums over the window's tokens [3]: cross-entropy and
            augmented loss, in nats, and the weights; the new state).
        """
        ids = tf.transpose(token_ids)  # [time, batch]
        weights = tf.cast(tf.reshape(tf.transpose(weights), [-1]), self.variable_dtype)
        embedded = tf.gather(tf.convert_to_tensor(self.embedding.embeddings), ids)
        if masks is None:
            masks = DropoutMasks(tf.ones_like(embedded[0]), [tf.ones_like(state[:, 0, 0])] * self.num_layers)
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            hidden, state = self._lstm(masks.entering(embedded, ids), state, masks)
            total, cross_entropy, augmented = augmented_loss(
                tf.reshape(self._projected(hidden), [-1, self.embedding_units]),
                tf.reshape(tf.transpose(targets), [-1]),
                tf.convert_to_tensor(self.output_layer.kernel),
                None if self.output_layer.bias is None else tf.convert_to_tensor(self.output_layer.bias),
                self._target_table(),
                **self._untracked.loss_weights,
                gradient_through_target=self.gradient_through_target,
                precision=self.precision,
                sample_weight=weights,
            )
            penalties = self.activation_regularization, self.temporal_activation_regularization
            if any(penalties):
                total += activation_penalty(hidden, tf.reshape(weights, tf.shape(ids)), *penalties)
        variables = self.trainable_variables
        d_embedded, *gradients = tape.gradient(
            total, [embedded, *(v.value for v in variables)], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        for place, variable in enumerate(variables):
            if variable is self.embedding.embeddings:  # it is not there if it is frozen
                gradients[place] = add_at(gradients[place], ids[..., None], d_embedded)
        sums = [tf.reduce_sum(cross_entropy * weights), tf.reduce_sum(augmented * weights), tf.reduce_sum(weights)]
        return gradients, tf.stack(sums), state

    def token_log_probabilities(
        self, token_ids: tf.Tensor, targets: tf.Tensor, state: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes the natural logarithms of the targets' probabilities, without dropout.

        Args:
            token_ids, targets: int32 [batch, time].
            state: float [batch, num_layers, 2, units], before the first token.

        Returns:
            (log-probabilities [batch, time], the new state).
        """
        hidden, state = self.hidden_states(token_ids, state)
        hidden, flat = tf.reshape(hidden, [-1, self.embedding_units]), tf.reshape(targets, [-1])
        rows = row_chunks(flat.shape[0], self.vocabulary_size)
        scores = [token_log_probabilities(self.logits(hidden[part]), flat[part]) for part in rows]
        return tf.reshape(tf.concat(scores, axis=0), tf.shape(targets)), state

    def _lstm(
        self, embedded: tf.Tensor, state: tf.Tensor, masks: DropoutMasks | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs the layers over [time, batch, embedding_units], with the masks of training or without dropout."""
        hidden, states = embedded, []
        for i, layer in enumerate(self.lstm_layers):
            if masks is None:
                hidden, layer_state = layer.run(hidden, state[:, i])
            else:
                hidden, layer_state = layer.run(
                    hidden,
                    state[:, i],
                    dropout_mask=masks.hidden[i],
                    output_mask=masks.output if i == self.num_layers - 1 else None,
                    recurrent_mask=masks.recurrent and masks.recurrent[i],
                    training=True,
                )
            states.append(layer_state)
        return hidden, tf.stack(states, axis=1)

    def _projected(self, hidden: tf.Tensor) -> tf.Tensor:
        """The last layer's hidden states as the output layer takes them, [..., embedding_units]."""
        if self.projection is None:
            return hidden
        projected = self.projection(tf.reshape(hidden, [-1, self.units]))
        return keras.ops.reshape(projected, (*keras.ops.shape(hidden)[:-1], self.embedding_units))

    def training_masks(self, batch_size: int, lanes: tf.Tensor, step: tf.Tensor) -> DropoutMasks:
        """Draws the dropout masks of a training step from (seed, step, layer, lane).

        Args:
            batch_size: Lanes of the whole batch.
            lanes: int32 [lanes], the lanes whose masks are returned.
            step: int32 scalar, the number of the step.

        Returns:
            The masks.
        """
        return self._draw_masks(batch_size, lanes, tf.stack([self.seed, step]))

    def _draw_masks(self, batch_size: int | tf.Tensor, lanes: tf.Tensor, seed: tf.Tensor) -> DropoutMasks:
        """Draws the masks of these lanes of the global batch."""
        sizes = self.vocabulary_size, self.embedding_units, self.units, self.num_layers
        return draw_masks(self._rates, sizes, batch_size, lanes, seed, self.variable_dtype)

    def _target_table(self) -> tf.Tensor | None:
        """The embedding L that the estimated target distribution is made from, or None without augmented loss."""
        if not self.augmented:
            return None
        return tf.convert_to_tensor(self.embedding.embeddings if self.target_table is None else self.target_table)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = [name for name in inspect.signature(LanguageModel).parameters if name != "kwargs"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
