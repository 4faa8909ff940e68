"""The figures of one split: sums over its tokens in float64, and the metrics computed from them.

Definitions, natural logarithms unless a name says bits:

- `cross_entropy`: total of -log p over the tokens, divided by the number of tokens; every token once, `<eos>` included.
- `perplexity`: exp(cross_entropy).
- `bits_per_word`: cross_entropy / ln 2.
- `bits_per_character`: total bits / characters: the Unicode characters of the split's text as ExampleGen read it
  (one U+FFFD for each invalid byte), spaces and newlines included.
- `top_k_accuracy`: share of tokens for which fewer than k words are more probable than the right one.
- `expected_calibration_error`: tokens are put in 20 bins of equal width by the probability of the most probable word;
  the mean over tokens of |share right - mean probability| of their bin.
- `unigram_perplexity`: perplexity of the words' frequencies in the training split. They are smoothed (add one) only if
  this split has a word that training does not have.
"""

import math

import numpy as np

from components.evaluator.figures import slices
from models.perplexity import LARGEST_EXPONENT

TOP = (1, 5, 10)
CALIBRATION_BINS = 20
METRICS = (
    "perplexity",
    "cross_entropy",
    "bits_per_word",
    "bits_per_character",
    "top_1_accuracy",
    "top_5_accuracy",
    "top_10_accuracy",
    "expected_calibration_error",
)
HIGHER_IS_BETTER = ("top_1_accuracy", "top_5_accuracy", "top_10_accuracy")
WHOLE_SPLIT_ONLY = ("bits_per_character", "expected_calibration_error")  # not known for a slice


def exp(value: float) -> float:
    """Returns e^value, or infinity if that would overflow.

    Args:
        value: The exponent.
    """
    return math.exp(value) if value < LARGEST_EXPONENT else (math.inf if value == value else math.nan)


class Tally:
    """Sums over the tokens of one split, in bounded memory: by slice, by calibration bin and by line.

    Args:
        slicer: Assigns the tokens to slices.
        num_lines: Number of lines of the split.

    Attributes:
        line_cross_entropy: float64 [lines], total nats of each line.
    """

    def __init__(self, slicer: slices.Slicer, num_lines: int):
        self._slicer = slicer
        self.line_cross_entropy = np.zeros(num_lines)
        self._total = np.zeros(2 + len(TOP))  # tokens, nats, tokens right within each of TOP
        self._sums = {name: np.zeros((len(labels), 2 + len(TOP))) for name, labels in slicer.buckets.items()}
        self._calibration = np.zeros((CALIBRATION_BINS, 3))  # tokens, right, probability

    def add(self, start: int, targets: np.ndarray, log_probabilities, rank, top_probability) -> None:
        """Adds consecutive tokens.

        Args:
            start: Offset of the first token in the split.
            targets: int32 [n], the tokens.
            log_probabilities: float32 [n], natural logarithm of each token's probability.
            rank: int32 [n], number of words that were more probable than the token.
            top_probability: float32 [n], probability of the most probable word.
        """
        nats = -log_probabilities.astype(np.float64)
        columns = np.stack([np.ones(len(targets)), nats, *((rank < k).astype(np.float64) for k in TOP)])
        self._total += columns.sum(axis=1)
        line, assigned = self._slicer.assign(start, targets)
        first, last = line[0], line[-1]
        self.line_cross_entropy[first : last + 1] += np.bincount(line - first, weights=nats)
        for name, buckets in assigned.items():
            self._sums[name] += _sum_by(buckets, columns, len(self._sums[name]))
        confidence = np.nan_to_num(top_probability.astype(np.float64))
        bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        self._calibration += _sum_by(bins, np.stack([columns[0], columns[2], confidence]), CALIBRATION_BINS)

    def figures(self, characters: int) -> dict:
        """Computes all figures of the split except the unigram model's; slices without tokens are left out.

        Args:
            characters: Number of Unicode characters of the split's text.
        """
        tokens, nats = self._total[:2]
        tokens_in_bin, right, confidence = self._calibration.T
        occupied = tokens_in_bin > 0
        return {
            **_ratios(self._total),
            "num_lines": len(self.line_cross_entropy),
            "num_characters": characters,
            "bits_per_character": float(nats) / math.log(2) / characters,
            "expected_calibration_error": float(np.abs(right - confidence).sum() / tokens),
            "calibration": [
                {"probability": float(p / n), "accuracy": float(r / n), "tokens": int(n)}
                for n, r, p in zip(tokens_in_bin[occupied], right[occupied], confidence[occupied], strict=True)
            ],
            "slices": {
                name: {
                    label: _ratios(sums) for label, sums in zip(labels, self._sums[name], strict=True) if sums[0] > 0
                }
                for name, labels in self._slicer.buckets.items()
            },
        }


def _sum_by(buckets: np.ndarray, columns: np.ndarray, size: int) -> np.ndarray:
    """Sums each row of `columns` [rows, tokens] by bucket: [size, rows]."""
    return np.stack([np.bincount(buckets, weights=row, minlength=size) for row in columns], axis=1)


def _ratios(sums: np.ndarray) -> dict:
    tokens, nats, *right = (float(value) for value in sums)
    cross_entropy = nats / tokens
    return {
        "num_tokens": int(tokens),
        "cross_entropy": cross_entropy,
        "perplexity": exp(cross_entropy),
        "bits_per_word": cross_entropy / math.log(2),
        **{f"top_{k}_accuracy": hits / tokens for k, hits in zip(TOP, right, strict=True)},
    }
