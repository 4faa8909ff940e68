"""The unigram model: words by their frequencies in the training split. A language model must do better than that."""

from collections.abc import Sequence

import numpy as np

from models.perplexity import perplexity

BLOCK = 1 << 20  # tokens counted at once


def count_tokens(stream: Sequence[int], vocabulary_size: int) -> np.ndarray:
    """Counts how often each id is in a stream.

    Args:
        stream: Token ids: a `TokenStream`, or an array.
        vocabulary_size: Number of words V; all ids are below it.

    Returns:
        int64 [vocabulary_size].
    """
    counts = np.zeros(vocabulary_size, np.int64)
    for start in range(0, len(stream), BLOCK):
        block = np.asarray(stream[start : min(start + BLOCK, len(stream))])
        counts += np.bincount(block, minlength=vocabulary_size)
    return counts


def unigram_perplexity(train_counts: np.ndarray, counts: np.ndarray) -> float:
    """Computes the perplexity of the unigram model over a split.

    The frequencies are smoothed (add one) only if the split has a token that the training split does not have.

    Args:
        train_counts: int [V], how often the training split has each word: the model.
        counts: int [V], how often the split has each word: the text.

    Returns:
        The perplexity a token.
    """
    present = counts > 0
    frequencies = train_counts.astype(np.float64)
    if np.any(frequencies[present] == 0):
        frequencies += 1
    log_probabilities = np.log(frequencies[present] / frequencies.sum())
    return perplexity(-float(counts[present] @ log_probabilities) / int(counts.sum()))
