"""The candidate against the baseline on the eval split, and how sure the difference is.

Where both read text into the same ids, they are compared by perplexity on the same tokens. Otherwise perplexities are
of different things, and bits per character are compared, with one correction: a model that turns a word into `<unk>`
has not read its letters, so each `<unk>` is charged the spelling of a word as long as that model's unknown words are
on average, every character at the entropy of the split's characters. Without it the smallest vocabulary would win.
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
    """Attributes:
    metric: `perplexity`, or `bits_per_character` where vocabulary or tokenizer differ.
    candidate: The candidate's value on the eval split.
    baseline: The baseline's.
    change: Relative change from the baseline's value to the candidate's; above 0 is worse.
    low, high: 95% interval of `change`; None where the models cut the text into different lines.
    """

    metric: str
    candidate: float
    baseline: float
    change: float
    low: float | None
    high: float | None

    @property
    def judgement(self) -> str:
        """`better` or `worse` where the whole interval is, else `undecided`; `the same` where nothing differs."""
        if self.low is None or self.low < 0 < self.high:
            return "undecided"
        if self.low == self.high == 0:
            return "the same"
        return "better" if self.high <= 0 else "worse" if self.low >= 0 else "undecided"

    def to_json(self, found: Baseline) -> dict:
        return {
            **asdict(self),
            "judgement": self.judgement,
            "version": found.version,
            "path": str(found.path),
            "digest": found.digest,
        }


def by_perplexity(candidate: np.ndarray, baseline: np.ndarray, line_lengths: np.ndarray) -> Comparison:
    """Compares nats of each line, `candidate` and `baseline` [lines], of lines with `line_lengths` tokens."""
    differences, tokens = candidate - baseline, line_lengths.astype(np.float64)
    change = math.expm1(_bounded(differences.sum() / tokens.sum()))
    low, high = (math.expm1(_bounded(bound)) for bound in bootstrap.interval(differences, tokens))
    values = (math.exp(_bounded(nats.sum() / tokens.sum())) for nats in (candidate, baseline))
    return Comparison("perplexity", *values, change, low, high)


def by_characters(candidate: np.ndarray, baseline: np.ndarray, characters: int) -> Comparison:
    """Compares nats of each line, spelling included, of a text with so many `characters` in all."""
    change = (candidate.sum() - baseline.sum()) / baseline.sum()
    low = high = None
    if len(candidate) == len(baseline):
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
    """Nats of each line with the spelling of its unknown words.

    Args:
        line_cross_entropy: float64 [lines], nats.
        unknown_by_line: int64 [lines], `<unk>` tokens.
        counts: int64 [V], how often the split has each id.
        words: The vocabulary, by id; a leading `##` marks a piece that continues a word.
        inked_characters: Characters of the split that are not white space.
        character_entropy: Nats of one character.
    """
    lengths = np.array([len(word.removeprefix(b"##").decode("utf-8", "replace")) for word in words])
    known = int(counts[2:] @ lengths[2:])  # <unk> and <eos> stand for no letters of their own
    unread = max(0, inked_characters - known)
    per_unknown = character_entropy * unread / max(1, int(counts[UNK_ID]))
    return line_cross_entropy + per_unknown * unknown_by_line


def _bounded(nats: float) -> float:
    return min(float(nats), LARGEST_EXPONENT)
