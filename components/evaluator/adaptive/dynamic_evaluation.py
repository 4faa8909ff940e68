"""Dynamic evaluation (Krause et al. 2018, arXiv 1709.07432): the model learns from what it has just predicted."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from components.evaluator.adaptive.trained_model import shifted
from models.language_model import LanguageModel
from models.text.token_stream import Lanes
from models.text.tokenizer import EOS_ID

LANES = 100  # number of parallel pieces of training text in one gradient of the statistics, as in the paper
MAX_WINDOWS = 400  # windows of training text for the statistics: 200,000 tokens, two minutes on two cores


class DynamicEvaluation:
    """Adapts the weights to the text: after each segment has been predicted, the weights take a step on it.

    With g the gradient of the segment's mean cross-entropy, MS the mean of squared gradients over training text, r its
    root and θ_0 the trained weights:

        θ ← θ - η g / (r + ε) + min(λ r / mean(r), 1) (θ_0 - θ)

    Args:
        model: The model; its weights change as it reads.
        train: Tokens of training text, a sequence whose slices are int arrays. They are read once, to compute MS.
        dynamic_eta: η, the step size.
        dynamic_lambda: λ, the decay of the weights towards the trained ones.
        dynamic_epsilon: ε, added to the root mean square of the gradients.
        dynamic_segment: Number of tokens of a segment.

    Attributes:
        block_size: Number of tokens that `read` takes, a segment; the last one of a text may have fewer.
    """

    def __init__(
        self,
        model: LanguageModel,
        train: Sequence[int],
        dynamic_eta: float,
        dynamic_lambda: float,
        dynamic_epsilon: float,
        dynamic_segment: int,
    ):
        self.block_size = dynamic_segment
        self._model = model
        self._weights = [variable.value for variable in model.trainable_variables]
        self._trained = [tf.constant(weight.numpy()) for weight in self._weights]
        roots = self._root_mean_squares(train)
        # The mean over all elements, as in the paper; the authors' code takes the mean of the tensors' means.
        mean = sum(float(tf.reduce_sum(root)) for root in roots) / sum(root.shape.num_elements() for root in roots)
        # If all gradients were zero, the mean is zero, too: the bound avoids a division by zero.
        self._rates = [dynamic_eta / (root + dynamic_epsilon) for root in roots]
        self._decays = [tf.minimum(dynamic_lambda * root / max(mean, 1e-30), 1.0) for root in roots]
        self._step = tf.function(self._predict_and_learn, reduce_retracing=True, autograph=False)
        self.start()

    def start(self) -> None:
        """Restores the trained weights and forgets what was read, because a new text begins."""
        self._previous, self._state = EOS_ID, self._model.zero_state(1)
        for weight, trained in zip(self._weights, self._trained, strict=True):
            weight.assign(trained)

    def read(self, block: np.ndarray) -> np.ndarray:
        """Reads the text's next segment, then takes a step on it.

        Args:
            block: int [n], the tokens of the segment.

        Returns:
            Their natural log-probabilities before the step, float64 [n].
        """
        inputs, targets = shifted(block, self._previous)
        scores, self._state = self._step(tf.constant(inputs), tf.constant(targets), self._state)
        self._previous = int(block[-1])
        return scores.numpy().astype(np.float64)

    def _predict_and_learn(self, inputs, targets, state):
        scores, gradients, state = self._gradients(inputs, targets, state)
        for weight, gradient, *how in zip(
            self._weights, gradients, self._rates, self._decays, self._trained, strict=True
        ):
            rate, decay, trained = how
            weight.assign_add(decay * (trained - weight) - rate * gradient)
        return scores, state

    def _gradients(self, inputs, targets, state):
        """Returns log-probabilities of all tokens [n], dense gradients of their mean cross-entropy, and the state."""
        with tf.GradientTape() as tape:
            hidden, state = self._model.hidden_states(inputs, state)
            logits = self._model.logits(tf.reshape(hidden, [-1, self._model.embedding_units]))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.reshape(targets, [-1]), logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, self._weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return -losses, [tf.convert_to_tensor(gradient) for gradient in gradients], state

    def _root_mean_squares(self, train: Sequence[int]) -> list[tf.Tensor]:
        """Root of the mean squared gradient of each weight over windows of training text."""
        lanes = Lanes(train, max(1, min(LANES, len(train) // self.block_size)))
        sums = [tf.Variable(tf.zeros_like(weight)) for weight in self._trained]

        @tf.function(reduce_retracing=True, autograph=False)
        def add(inputs, targets, state):
            _, gradients, state = self._gradients(inputs, targets, state)
            for total, gradient in zip(sums, gradients, strict=True):
                total.assign_add(tf.square(gradient))
            return state

        state, windows = (
            self._model.zero_state(lanes.batch_size),
            min(MAX_WINDOWS, lanes.lane_length // self.block_size),
        )
        windows = max(1, windows)
        for window in range(windows):
            state = add(*map(tf.constant, lanes.window(window * self.block_size, self.block_size)), state)
        return [tf.sqrt(total / windows) for total in sums]
