"""The network of the subspace experiment: untied, unit embeddings, the paper's losses in plain TensorFlow."""

import math
from collections.abc import Iterator

import numpy as np

UNITS, LAYERS, BATCH, STEPS = 300, 2, 20, 35
LEARNING_RATE, MOMENTUM, CLIP_NORM = 0.5, 0.9, 1.0  # SGD on the mean over tokens; the rate falls to 0 by half a cosine
# L is also the target. At the full rate it changes faster than W can follow, and the loss grows eightfold.
EMBEDDING_RATE = 0.05


class Network:
    """L, W and two LSTM layers, without dropout or weight decay, trained on one text.

    W starts at 0, so that everything measured in it comes from training. Updates of W are plain sums of gradients.
    Rescaling each weight (as Adam does) would move W out of the column space.

    Args:
        beta: β of the loss β J_aug τ² |V| + (1 - β) J.
        temperature: τ.
        seed: Seed of the initial weights.
        vocabulary_size: |V|.

    Attributes:
        embedding: L, [|V|, 300], rows of norm 1.
        projection: W, [|V|, 300].
    """

    def __init__(self, beta: float, temperature: float, seed: int, vocabulary_size: int):
        import keras
        import tensorflow as tf

        from models.layers.variational_lstm import VariationalLSTM

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        keras.utils.set_random_seed(seed)
        self.beta, self.temperature, self.vocabulary_size = beta, temperature, vocabulary_size
        self.embedding = tf.Variable(tf.math.l2_normalize(tf.random.normal([vocabulary_size, UNITS]), axis=1))
        self.projection = tf.Variable(tf.zeros([vocabulary_size, UNITS]))
        self.layers = [VariationalLSTM(UNITS) for _ in range(LAYERS)]
        for layer in self.layers:
            layer.build((None, None, UNITS))
        weights = [weight.value for layer in self.layers for weight in layer.trainable_variables]
        self.variables = [self.embedding, self.projection, *weights]
        self.rates = [EMBEDDING_RATE, *[1.0] * (len(self.variables) - 1)]
        self.velocities = [tf.Variable(tf.zeros_like(v)) for v in self.variables]
        self._compiled_step = tf.function(self._step, autograph=False, jit_compile=True)

    def train(self, ids: np.ndarray, epochs: int) -> Iterator[tuple[float, float]]:
        """Trains on a text, and yields each epoch's mean J and J_aug τ² |V| in nats a token.

        Args:
            ids: int32 [words], in order; each of 20 lanes carries its state over windows of 35 words.
            epochs: Passes over the text; the learning rate reaches 0 at the end of the last.

        Raises:
            FloatingPointError: If the loss is not finite.
        """
        import tensorflow as tf

        lane_length = len(ids) // BATCH
        lanes = ids[: BATCH * lane_length].reshape(BATCH, lane_length)
        starts = range(0, lane_length - STEPS, STEPS)  # only whole windows
        for epoch in range(epochs):
            state, losses = tf.zeros([BATCH, LAYERS, 2, UNITS]), []
            for i, start in enumerate(starts):
                done = (epoch + i / len(starts)) / epochs
                rate = tf.constant(LEARNING_RATE * (1 + math.cos(math.pi * done)) / 2)
                window = tf.constant(lanes[:, start : start + STEPS + 1])
                state, values = self._compiled_step(window[:, :-1], window[:, 1:], state, rate)
                losses.append(values.numpy())
            cross_entropy, augmented = np.mean(losses, axis=0, dtype=np.float64)
            if not np.isfinite(cross_entropy + augmented):
                raise FloatingPointError(f"beta {self.beta} tau {self.temperature}: epoch {epoch + 1} diverged.")
            yield float(cross_entropy), float(augmented)

    def losses(self, inputs, targets, state):
        """Computes the losses of a batch.

        No gradient flows through y~, the estimated target: otherwise the rows of L become parallel and the loss falls
        to 0.

        Args:
            inputs: int32 [batch, time].
            targets: int32 [batch, time].
            state: float32 [batch, layers, 2, units].

        Returns:
            Mean J, mean J_aug and the new state.
        """
        import tensorflow as tf

        hidden, states = tf.gather(self.embedding, tf.transpose(inputs)), []
        for i, layer in enumerate(self.layers):
            hidden, layer_state = layer.run(hidden, state[:, i], training=True)
            states.append(layer_state)
        targets = tf.reshape(tf.transpose(targets), [-1])
        logits = tf.matmul(tf.reshape(hidden, [-1, UNITS]), self.projection, transpose_b=True)
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        similarities = tf.matmul(tf.gather(self.embedding, targets), self.embedding, transpose_b=True)
        estimated = tf.stop_gradient(tf.nn.log_softmax(similarities / self.temperature))
        predicted = tf.nn.log_softmax(logits / self.temperature)
        augmented = tf.reduce_sum(tf.exp(estimated) * (estimated - predicted), axis=1)
        return tf.reduce_mean(cross_entropy), tf.reduce_mean(augmented), tf.stack(states, axis=1)

    def _step(self, inputs, targets, state, rate):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            cross_entropy, augmented, state = self.losses(inputs, targets, state)
            scaled = augmented * self.temperature**2 * self.vocabulary_size
            total = self.beta * scaled + (1 - self.beta) * cross_entropy
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(total, self.variables)]
        clip = tf.minimum(1.0, CLIP_NORM / tf.linalg.global_norm(gradients))
        for variable, gradient, velocity, own in zip(
            self.variables, gradients, self.velocities, self.rates, strict=True
        ):
            velocity.assign(MOMENTUM * velocity + clip * gradient)
            variable.assign_sub(rate * own * velocity)
        self.embedding.assign(tf.math.l2_normalize(self.embedding, axis=1))
        return state, tf.stack([cross_entropy, scaled])
