"""The language model: embedding, variational-dropout LSTM layers, a (tied) output layer, the paper's training step."""

import functools

import keras
import tensorflow as tf

from models.augmented_loss import augmented_loss, token_log_probabilities
from models.scatter import add_at
from models.tied_dense import TiedDense
from models.variational_lstm import VariationalLSTM, variational_mask


@keras.saving.register_keras_serializable(package="language_model")
class LanguageModel(keras.Model):
    """A word-level LSTM language model after Inan et al. (arXiv 1611.01462).

    The paper's four variants are two switches: `tie_embeddings` (+RE) and `augmented` (+AL); both on is +REAL.

    Args:
        vocabulary_size: Number of words V, `<unk>` and `<eos>` counted.
        units: Size of the hidden states and of the word vectors.
        num_layers: Number of LSTM layers. Default 2.
        dropout: Probability of *dropping*, in [0, 1), of the vectors that enter the first layer and of every layer's
            hidden state. Default 0.
        tie_embeddings: Whether the output layer's kernel is the embedding. Default True.
        output_bias: Whether an untied output layer has a bias. Default False.
        init_scale: Weights start uniform in [-init_scale, init_scale]. Default 0.1.
        augmented: Whether training adds the augmented loss. Default True.
        temperature: τ of the augmented loss. Default 20.
        gamma: γ of the augmented loss; α = γ τ. Default 0.65.
        gradient_through_target: Whether the gradient flows through the estimated target distribution. Default False.
        target: The embedding that the estimated target distribution is made from: "current" (the paper's; default),
            "held" (a copy that training renews at intervals) or "average" (a moving average), as target networks in
            reinforcement learning. The copy is the weight `target_table`.
        precision: "float32" (default), or "bfloat16" for the large products of training. Logits that the augmented loss
            sees, softmaxes, sums and evaluation stay float32.
        seed: Seed of the dropout masks. Default 1.

    Call arguments:
        token_ids: int [batch, time].
        state: float32 [batch, num_layers, 2, units] (h, then c), or None for zeros.

    Returns:
        (logits float32 [batch, time, V], state after the last token).

    Example:

    >>> model = LanguageModel(vocabulary_size=100, units=8)
    >>> logits, state = model(tf.zeros([4, 7], tf.int32))
    >>> logits.shape, state.shape
    (TensorShape([4, 7, 100]), TensorShape([4, 2, 2, 8]))
    """

    def __init__(
        self,
        vocabulary_size: int,
        units: int,
        num_layers: int = 2,
        dropout: float = 0.0,
        tie_embeddings: bool = True,
        output_bias: bool = False,
        init_scale: float = 0.1,
        augmented: bool = True,
        temperature: float = 20.0,
        gamma: float = 0.65,
        gradient_through_target: bool = False,
        target: str = "current",
        precision: str = "float32",
        seed: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.num_layers = num_layers
        self.dropout = dropout
        self.tie_embeddings = tie_embeddings
        self.output_bias = output_bias
        self.init_scale = init_scale
        self.augmented = augmented
        self.temperature = temperature
        self.gamma = gamma
        if gradient_through_target and target != "current":
            raise ValueError(
                f"loss.gradient_through_target needs loss.target current: a copy ({target}) has no gradient."
            )
        self.gradient_through_target = gradient_through_target
        self.target = target
        self.precision = precision
        self.seed = seed

        def uniform():
            return keras.initializers.RandomUniform(-init_scale, init_scale)

        self.embedding = keras.layers.Embedding(vocabulary_size, units, embeddings_initializer=uniform())
        policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
        self.lstm_layers = [
            VariationalLSTM(units, initializer=uniform(), dtype=policy, name=f"lstm_{i}") for i in range(num_layers)
        ]
        self.output_layer = TiedDense(
            vocabulary_size, self.embedding if tie_embeddings else None, output_bias, uniform(), name="output"
        )
        self.embedding.build()
        for layer in self.lstm_layers:
            layer.build((None, None, units))
        self.output_layer.build((None, units))
        self.target_table = None
        if augmented and target != "current":
            self.target_table = self.add_weight(name="target_table", shape=(vocabulary_size, units), trainable=False)
            self.target_table.assign(self.embedding.embeddings)
        self.built = True

    def zero_state(self, batch_size):
        """The state before any text: float32 zeros [batch_size, num_layers, 2, units]."""
        return tf.zeros([batch_size, self.num_layers, 2, self.units])

    def hidden_states(self, token_ids, state):
        """Reads tokens without dropping anything.

        Args:
            token_ids: int [batch, time].
            state: float32 [batch, num_layers, 2, units].

        Returns:
            (hidden states of the last layer, float32 [batch, time, units], the new state).
        """
        embedded = tf.gather(tf.convert_to_tensor(self.embedding.embeddings), tf.transpose(token_ids))
        hidden, state = self._lstm(embedded, state)
        return tf.transpose(hidden, [1, 0, 2]), state

    def logits(self, hidden):
        """Float32 logits [..., V] from hidden states [..., units]."""
        return self.output_layer(hidden)

    def call(self, token_ids, state=None, training=False):
        del training  # dropout and its lanes belong to train_step
        state = self.zero_state(tf.shape(token_ids)[0]) if state is None else state
        hidden, state = self.hidden_states(token_ids, state)
        return self.logits(hidden), state

    def train_step(self, batch):
        """The loss of one window and its gradient, summed over this replica's tokens; nothing is updated.

        Division by the batch, the sum over replicas, clipping and the update follow in `models.training`, since the
        clip must see the gradient of the whole batch.

        Args:
            batch: dict of `inputs` and `targets` (int32 [batch, time]), `lanes` (int32 [batch], this replica's rows of
                the global batch), `batch_size` (int, of the global batch), `state` (float32 [batch, layers, 2, units]),
                `step` (int32 scalar, counted from the start of training), and optionally `temperature` and `gamma`
                (scalars, where they are scheduled).

        Returns:
            dict of `gradients` (dense, in the order of `trainable_variables`), `cross_entropy` and `augmented_loss`
            (scalars, summed over tokens, in nats) and the new `state`.
        """
        table = tf.convert_to_tensor(self.embedding.embeddings)
        ids = tf.transpose(batch["inputs"])  # [time, batch]
        embedded = tf.gather(table, ids)
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            hidden, state = self._lstm(embedded, batch["state"], self._masks(batch))
            total, cross_entropy, augmented = augmented_loss(
                tf.reshape(hidden, [-1, self.units]),
                tf.reshape(tf.transpose(batch["targets"]), [-1]),
                tf.convert_to_tensor(self.output_layer.kernel),
                None if self.output_layer.bias is None else tf.convert_to_tensor(self.output_layer.bias),
                self._target_table(),
                batch.get("temperature", self.temperature),
                batch.get("gamma", self.gamma),
                self.gradient_through_target,
                self.precision,
            )
        variables = [v.value for v in self.trainable_variables]
        d_embedded, *gradients = tape.gradient(
            total, [embedded, *variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        place = next(i for i, v in enumerate(self.trainable_variables) if v is self.embedding.embeddings)
        gradients[place] = add_at(gradients[place], ids[..., None], d_embedded)
        return {
            "gradients": gradients,
            "cross_entropy": tf.reduce_sum(cross_entropy),
            "augmented_loss": tf.reduce_sum(augmented),
            "state": state,
        }

    def test_step(self, batch):
        """Log-probabilities of the targets without dropout.

        Args:
            batch: dict of `inputs` and `targets` (int32 [batch, time]) and `state`.

        Returns:
            dict of `log_probabilities` (float32 [batch, time], natural logarithms) and the new `state`.
        """
        hidden, state = self.hidden_states(batch["inputs"], batch["state"])
        shape = tf.shape(batch["targets"])
        logits = self.logits(tf.reshape(hidden, [-1, self.units]))
        scores = token_log_probabilities(logits, tf.reshape(batch["targets"], [-1]))
        return {"log_probabilities": tf.reshape(scores, shape), "state": state}

    @functools.cached_property
    def compiled_test_step(self):
        """`test_step` compiled by XLA, once for every shape of a window."""
        return tf.function(self.test_step, jit_compile=True, autograph=False)

    def _lstm(self, embedded, state, masks=None):
        """Runs the layers over [time, batch, units], with the masks of training or with none."""
        hidden, states = embedded, []
        if masks is not None:
            hidden *= masks[0]
        for i, layer in enumerate(self.lstm_layers):
            mask = None if masks is None else masks[i + 1]
            hidden, layer_state = layer.run(hidden, state[:, i], dropout_mask=mask, training=masks is not None)
            states.append(layer_state)
        return hidden, tf.stack(states, axis=1)

    def _masks(self, batch):
        """One mask [batch, units] for the inputs and one a layer, drawn from (seed, step, layer, lane)."""
        shape = (batch["batch_size"], self.units)
        seed = tf.stack([self.seed, batch["step"]])
        seeds = [tf.random.experimental.stateless_fold_in(seed, i) for i in range(self.num_layers + 1)]
        return [variational_mask(self.dropout, shape, seed, batch["lanes"]) for seed in seeds]

    def _target_table(self):
        """The embedding L that the estimated target distribution is made from, or None without augmented loss."""
        if not self.augmented:
            return None
        return tf.convert_to_tensor(self.embedding.embeddings if self.target_table is None else self.target_table)

    def get_config(self):
        names = (
            "vocabulary_size units num_layers dropout tie_embeddings output_bias init_scale augmented temperature "
            "gamma gradient_through_target target precision seed"
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}
