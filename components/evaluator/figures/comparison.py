"""Compares the candidate with the baseline on the eval split, and measures how certain the difference is.

If both read the text into the same ids, they are compared by perplexity on the same tokens. Otherwise the perplexities
cannot be compared, and bits per character are used, with one correction: a model that turns a word into `<unk>` has not
read its letters. So each `<unk>` costs the spelling of a word of the average length of that model's unknown words, each
character at the entropy of the split's characters. Without the correction the smallest vocabulary would win.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

from components.evaluator.baseline import Baseline
from components.evaluator.figures import bootstrap
from components.evaluator.figures.slices import UNK_ID
from models.perplexity import LARGEST_EXPONENT


@dataclass(frozen=True)
class Comparison:
    """The candidate's and the baseline's value of one metric, and the interval of their difference.

    Attributes:
        metric: `perplexity`, or `bits_per_character` if the vocabulary or the tokenizer differs.
        candidate: The candidate's value on the eval split.
        baseline: The baseline's value on the eval split.
        change: Relative change from the baseline's value to the candidate's; above 0 is worse.
        low: Lower bound of the 95% interval of `change`; None if the text is a single line, or the models cut it into
            different lines.
        high: Upper bound of that interval, or None.
    """

    metric: str
    candidate: float
    baseline: float
    change: float
    low: float | None
    high: float | None

    @property
    def judgement(self) -> str:
        """`better` or `worse` if the whole interval agrees, `the same` if nothing differs, otherwise `undecided`."""
        if self.low is None or self.low < 0 < self.high:
            return "undecided"
        if self.low == self.high == 0:
            return "the same"
        return "better" if self.high <= 0 else "worse" if self.low >= 0 else "undecided"

    def to_json(self, pushed: Baseline) -> dict:
        """Returns the comparison as JSON, with the version, path and digest of the baseline.

        Args:
            pushed: The baseline.
        """
        return {
            **asdict(self),
            "judgement": self.judgement,
            "version": pushed.version,
            "path": str(pushed.path),
            "digest": pushed.digest,
        }


def by_perplexity(candidate: np.ndarray, baseline: np.ndarray, line_lengths: np.ndarray) -> Comparison:
    """Compares two models that read the same tokens.

    Args:
        candidate: float64 [lines], the candidate's nats of each line.
        baseline: float64 [lines], the baseline's nats of each line.
        line_lengths: int64 [lines], number of tokens of each line.
    """
    differences, tokens = candidate - baseline, line_lengths.astype(np.float64)
    change = math.expm1(_bounded(differences.sum() / tokens.sum()))
    low = high = None
    if len(tokens) > 1:
        low, high = (math.expm1(_bounded(bound)) for bound in bootstrap.interval(differences, tokens))
    values = (math.exp(_bounded(nats.sum() / tokens.sum())) for nats in (candidate, baseline))
    return Comparison("perplexity", *values, change, low, high)


def by_characters(candidate: np.ndarray, baseline: np.ndarray, characters: int) -> Comparison:
    """Compares two models that read the same text into different tokens.

    Args:
        candidate: float64 [lines], the candidate's nats of each line, spelling included (see `with_spelling`).
        baseline: float64 [lines], the baseline's. If it has another number of lines, there is no interval.
        characters: Number of Unicode characters of the text.
    """
    change = (candidate.sum() - baseline.sum()) / baseline.sum()
    low = high = None
    if len(candidate) == len(baseline) > 1:
        low, high = bootstrap.interval(candidate - baseline, baseline)
    values = (float(nats.sum()) / math.log(2) / characters for nats in (candidate, baseline))
    return Comparison("bits_per_character", *values, float(change), low, high)


def with_spelling(
    line_cross_entropy: np.ndarray,
    unknown_by_line: np.ndarray,
    counts: np.ndarray,
    words: list[bytes],
    inked_characters: int,
    character_entropy: float,
) -> np.ndarray:
    """Adds the spelling of the unknown words to the nats of each line.

    Args:
        line_cross_entropy: float64 [lines], nats of each line.
        unknown_by_line: int64 [lines], number of `<unk>` tokens of each line.
        counts: int64 [V], how often the split has each id.
        words: The vocabulary, by id; a leading `##` marks a piece that continues a word.
        inked_characters: Number of characters of the split that are not white space.
        character_entropy: Nats per character.

    Returns:
        float64 [lines].
    """
    lengths = np.array([len(word.removeprefix(b"##").decode("utf-8", "replace")) for word in words])
    known = int(counts[2:] @ lengths[2:])  # <unk> and <eos> do not spell any letters
    unread = max(0, inked_characters - known)
    per_unknown = character_entropy * unread / max(1, int(counts[UNK_ID]))
    return line_cross_entropy + per_unknown * unknown_by_line


def _bounded(nats: float) -> float:
    return min(float(nats), LARGEST_EXPONENT)
