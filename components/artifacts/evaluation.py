"""ModelEvaluation: `evaluation.json`, `predictions.json` and `embedding.json`, all written by the Evaluator."""

from typing import Any, NotRequired

from typing_extensions import TypedDict

from components.artifacts.document import Document


class SliceFigures(TypedDict):
    """The figures of a group of tokens; their definitions are in `components/evaluator/figures/metrics.py`."""

    num_tokens: int
    cross_entropy: float | None
    perplexity: float | None
    bits_per_word: float | None
    top_1_accuracy: float
    top_5_accuracy: float
    top_10_accuracy: float


class CalibrationBin(TypedDict):
    """The tokens whose most probable word has a probability in one range.

    Attributes:
        probability: Mean probability of the most probable word.
        accuracy: Share of the tokens for which that word was right.
        tokens: Number of tokens.
    """

    probability: float
    accuracy: float
    tokens: int


class SplitFigures(SliceFigures):
    """The figures of a split; `slices` by dimension and bucket."""

    num_lines: int
    num_characters: int
    bits_per_character: float | None
    expected_calibration_error: float
    calibration: list[CalibrationBin]
    slices: dict[str, dict[str, SliceFigures]]
    unigram_perplexity: float | None


class RuleVerdict(TypedDict):
    """One line of the gate's table; see `components.evaluator.gate.Verdict`."""

    rule: str
    split: str
    slice: str | None
    value: float | None
    limit: float | None
    verdict: str
    reason: str
    undecided: bool


class AdaptiveFigures(TypedDict):
    """Perplexities of one mode of adaptive evaluation, by split, and the mode's settings."""

    eval: float | None
    test: float | None
    settings: dict[str, Any]


class BaselineFigures(TypedDict):
    """The candidate against the newest pushed version; see `components.evaluator.figures.comparison.Comparison`.

    Attributes:
        splits: The baseline's figures by split; empty if the baseline reads the text into other ids.
    """

    metric: str
    candidate: float | None
    baseline: float | None
    change: float | None
    low: float | None
    high: float | None
    judgement: str
    version: int
    path: str
    digest: str
    splits: dict[str, SplitFigures]


class Evaluation(TypedDict):
    """What the Evaluator measured on the exported model; `adaptive` is by mode."""

    blessed: bool
    splits: dict[str, SplitFigures]
    adaptive: dict[str, AdaptiveFigures]
    subspace_distance: float | None
    baseline: BaselineFigures | None
    rules: list[RuleVerdict]


class NextWord(TypedDict):
    """A next word and its probability."""

    word: str
    probability: float | None


class Phrase(TypedDict):
    """The ten most probable next words of a phrase, by the candidate and, if there is one, by the baseline."""

    text: str
    candidate: list[NextWord]
    baseline: NotRequired[list[NextWord]]


class Predictions(TypedDict):
    """Next words of a few phrases."""

    phrases: list[Phrase]


class Neighbour(TypedDict):
    """A word and the cosine between its vector and the vector of the word it is a neighbour of."""

    word: str
    cosine: float


class Neighbours(TypedDict):
    """A word's nearest neighbours."""

    word: str
    neighbours: list[Neighbour]


class Place(TypedDict):
    """A word's coordinates on the two-dimensional map."""

    word: str
    x: float
    y: float


class Embedding(TypedDict):
    """Nearest neighbours of a dozen words, and frequent words projected on the embedding's two main directions."""

    neighbours: list[Neighbours]
    map: list[Place]


EVALUATION = Document("evaluation.json", Evaluation, "Evaluator")
PREDICTIONS = Document("predictions.json", Predictions, "Evaluator")
EMBEDDING = Document("embedding.json", Embedding, "Evaluator")
