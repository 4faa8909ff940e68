"""The paired bootstrap over lines: how certain a difference between two models is.

Koehn, "Statistical Significance Tests for Machine Translation Evaluation", EMNLP 2004.
"""

import numpy as np

SAMPLES = 2000
MAX_GROUPS = 10_000  # above this number, lines are drawn in runs of neighbours: the same interval with bounded work
SEED = 20170424  # one fixed seed: the same models always get the same interval


def interval(differences: np.ndarray, weights: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Computes the percentile interval of sum(differences) / sum(weights) when lines are resampled with replacement.

    Args:
        differences: float64 [lines], candidate minus baseline of each line; two lines or more.
        weights: float64 [lines], what each line adds to the denominator, such as its number of tokens.
        level: Probability that the interval covers, between 0 and 1.

    Returns:
        The lower and the upper bound.
    """
    size = min(len(differences), MAX_GROUPS)
    starts = np.linspace(0, len(differences), size, endpoint=False).astype(int)
    pairs = np.stack([np.add.reduceat(differences, starts), np.add.reduceat(weights, starts)], axis=1)
    generator = np.random.default_rng(SEED)
    ratios = np.empty(SAMPLES)
    for sample in range(SAMPLES):
        above, below = pairs[generator.integers(size, size=size)].sum(axis=0)
        ratios[sample] = above / below
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
