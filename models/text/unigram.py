"""The unigram model: words by their frequencies in the training split, the least that a language model must beat."""

from collections.abc import Sequence

import numpy as np

from models.perplexity import perplexity

BLOCK = 1 << 20  # tokens counted at once


def count_tokens(stream: Sequence[int], vocabulary_size: int) -> np.ndarray:
    """How often a stream has each id: int64 [vocabulary_size]."""
    counts = np.zeros(vocabulary_size, np.int64)
    for start in range(0, len(stream), BLOCK):
        block = np.asarray(stream[start : min(start + BLOCK, len(stream))])
        counts += np.bincount(block, minlength=vocabulary_size)
    return counts


def unigram_perplexity(train_counts: np.ndarray, counts: np.ndarray) -> float:
    """Perplexity, over the tokens counted by `counts` [V], of the frequencies in `train_counts` [V].

    The frequencies are smoothed (add one) only where there is a token that training has not.
    """
    present = counts > 0
    frequencies = train_counts.astype(np.float64)
    if np.any(frequencies[present] == 0):
        frequencies += 1
    log_probabilities = np.log(frequencies[present] / frequencies.sum())
    return perplexity(-float(counts[present] @ log_probabilities) / int(counts.sum()))
