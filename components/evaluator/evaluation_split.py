"""One split to evaluate on: its tokens as Transform wrote them, its text, and what a model makes of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from components.artifacts.splits import split_dir
from components.evaluator.exported_model import ExportedModel, Window
from components.evaluator.figures import comparison, metrics, slices
from components.evaluator.figures.text import SplitText
from models.text.token_stream import TokenStream
from models.text.unigram import count_tokens, unigram_perplexity

# Reads streams with a model as `ExportedModel.windows` does, whoever does the work.
Read = Callable[[ExportedModel, Sequence[TokenStream]], Iterator[tuple[int, Window]]]


class EvaluationSplit:
    """A split together with how often training text has each word.

    Args:
        name: The split's name.
        transformed: The transformed examples.
        examples: The Examples.
        train_counts: int64 [V].
    """

    def __init__(self, name: str, transformed: Path, examples: Path, train_counts: np.ndarray):
        self.stream = TokenStream(split_dir(transformed, name))
        self.text = SplitText(examples, name)
        self.lines = slices.LineIndex(self.stream)
        self._train_counts = train_counts
        self._documents: tuple[list[str], np.ndarray] | None = None  # names and ends of the examples

    def count_mismatches(self, model: ExportedModel) -> int:
        """Tokens of the text that the model's own tokenizer reads into other ids than the stream's."""
        mismatched, ends = 0, [0]
        for ids in self.text.token_ids(model):
            mismatched += count_differences(ids, self.stream[ends[-1] : ends[-1] + len(ids)])
            ends.append(ends[-1] + len(ids))
        mismatched += max(0, len(self.stream) - ends[-1])
        if not mismatched:
            self._documents = self.text.documents, np.array(ends[1:])
        return mismatched

    def new_tally(self) -> metrics.Tally:
        """An empty tally; slices by document need `count_mismatches` to have found none."""
        return metrics.Tally(slices.Slicer(self.lines, self._train_counts, self._documents), len(self.lines))

    def figures(self, tally: metrics.Tally) -> dict:
        """All figures of a tally, the unigram model's among them."""
        counts = count_tokens(self.stream, len(self._train_counts))
        unigram = unigram_perplexity(self._train_counts, counts)
        return {**tally.figures(self.text.characters), "unigram_perplexity": unigram}

    def spelled_out(self, model: ExportedModel, stream: TokenStream, line_cross_entropy: np.ndarray) -> np.ndarray:
        """Nats of each line of the text, unknown words spelled out (see `comparison.py`): float64 [lines].

        Args:
            model: The model that read it.
            stream: The text as it read it.
            line_cross_entropy: float64 [lines], nats.
        """
        unknown = slices.LineIndex(stream).of(np.flatnonzero(stream[:] == slices.UNK_ID))
        return comparison.with_spelling(
            line_cross_entropy,
            np.bincount(unknown, minlength=len(line_cross_entropy)),
            count_tokens(stream, len(model.words)),
            model.words,
            self.text.inked_characters,
            self.text.character_entropy(),
        )


def evaluate(read: Read, model: ExportedModel, splits: Mapping[str, EvaluationSplit]) -> dict[str, metrics.Tally]:
    """Reads every split once with the model."""
    tallies = {name: split.new_tally() for name, split in splits.items()}
    names = list(splits)
    for row, window in read(model, [split.stream for split in splits.values()]):
        tallies[names[row]].add(
            window.start, window.targets, window.log_probabilities, window.rank, window.top_probability
        )
    return tallies


def line_cross_entropy(read: Read, model: ExportedModel, stream: TokenStream) -> np.ndarray:
    """Nats of each line of one stream: float64 [lines]."""
    lines = slices.LineIndex(stream)
    nats = np.zeros(len(lines))
    for _, window in read(model, [stream]):
        line = lines.of(np.arange(window.start, window.start + len(window.targets)))
        np.add.at(nats, line, -window.log_probabilities.astype(np.float64))
    return nats


def count_differences(ids: np.ndarray, others: Sequence[int]) -> int:
    """Places at which two id sequences differ, surplus tokens of the longer one included."""
    shorter = min(len(ids), len(others))
    differing = np.count_nonzero(np.asarray(ids[:shorter]) != np.asarray(others[:shorter]))
    return int(differing) + abs(len(ids) - len(others))
