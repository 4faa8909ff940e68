"""The continuous neural cache of Grave et al. (2017, arXiv 1612.04426).

It raises the probability of words that followed similar hidden states.
"""

import numpy as np
import tensorflow as tf

from components.evaluator.adaptive.trained_model import BLOCK_LOGITS, shifted
from models.language_model import LanguageModel
from models.text.tokenizer import EOS_ID

BLOCK = 500  # number of tokens that are read at once; the figures do not depend on it


class NeuralCache:
    """Mixes the model's prediction with the words that followed the most similar hidden states.

    With h_t the hidden state that predicts word x_(t+1), over the last `window` pairs (h_i, x_(i+1)), i < t:

        p_cache(w) ∝ Σ_i [w = x_(i+1)] exp(θ h_t · h_i),    p = (1 - λ) p_model + λ p_cache

    The first token has an empty cache, so its prediction is the model's.

    Args:
        model: The model; its weights do not change.
        cache_lambda: λ, the cache's share of the prediction, 0 up to 1.
        cache_theta: θ, how sharply the cache prefers similar hidden states.
        cache_window: Number of pairs that are remembered.

    Attributes:
        block_size: Number of tokens that `read` takes; the last block of a text may have fewer.
    """

    def __init__(self, model: LanguageModel, cache_lambda: float, cache_theta: float, cache_window: int):
        self.block_size = max(1, min(BLOCK, BLOCK_LOGITS // model.vocabulary_size))
        self._model = model
        self._share, self._theta, self._window = cache_lambda, cache_theta, cache_window
        self._predict = tf.function(self._hidden_and_scores, reduce_retracing=True, autograph=False)
        self.start()

    def start(self) -> None:
        """Forgets what was read, because a new text begins."""
        self._previous, self._state = EOS_ID, self._model.zero_state(1)
        self._hidden = np.zeros([0, self._model.embedding_units])
        self._words = np.zeros([0], np.int32)

    def read(self, block: np.ndarray) -> np.ndarray:
        """Reads the text's next tokens.

        Args:
            block: int [n], the tokens.

        Returns:
            Their natural log-probabilities, float64 [n].
        """
        inputs, targets = shifted(block, self._previous)
        hidden, scores, self._state = self._predict(tf.constant(inputs), tf.constant(targets), self._state)
        hidden, scores = hidden.numpy().astype(np.float64), scores.numpy().astype(np.float64)
        remembered = len(self._words)
        self._hidden, self._words = np.concatenate([self._hidden, hidden]), np.concatenate([self._words, targets[0]])
        mixed = self._mix(hidden, targets[0], scores, remembered)
        self._previous = int(block[-1])
        self._hidden, self._words = self._hidden[-self._window :], self._words[-self._window :]
        return mixed

    def _mix(self, hidden: np.ndarray, targets: np.ndarray, scores: np.ndarray, remembered: int) -> np.ndarray:
        """Computes the log-probabilities of a block whose pairs are in the cache already.

        Args:
            hidden: float64 [n, units], the hidden state that predicts each token.
            targets: int [n], the tokens.
            scores: float64 [n], the model's own log-probabilities.
            remembered: Number of pairs in the cache that are older than the block.
        """
        place = remembered + np.arange(len(targets))[:, None]
        of_pair = np.arange(len(self._words))[None]
        visible = (of_pair < place) & (of_pair >= place - self._window)
        likeness = np.where(visible, self._theta * hidden @ self._hidden.T, -np.inf)
        some = visible.any(axis=1)
        weight = np.exp(likeness - np.where(some, likeness.max(axis=1), 0.0)[:, None])
        right = (weight * (self._words[None] == targets[:, None])).sum(axis=1)
        cache = right / np.where(some, weight.sum(axis=1), 1.0)
        share = np.where(some, self._share, 0.0)
        return np.log((1 - share) * np.exp(scores) + share * cache)

    def _hidden_and_scores(self, inputs, targets, state):
        hidden, state = self._model.hidden_states(inputs, state)
        hidden = hidden[0]
        return hidden, -tf.nn.sparse_softmax_cross_entropy_with_logits(targets[0], self._model.logits(hidden)), state
