"""One split to evaluate on: its tokens as Transform wrote them, its text, and the figures of a model that read it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from components.artifacts.splits import split_dir
from components.evaluator.exported_model import ExportedModel, Window
from components.evaluator.figures import comparison, metrics, slices
from components.evaluator.figures.text import SplitText
from models.text.token_stream import TokenStream
from models.text.unigram import count_tokens, unigram_perplexity

# A function that reads streams with a model and yields what `ExportedModel.windows` does.
Read = Callable[[ExportedModel, Sequence[TokenStream]], Iterator[tuple[int, Window]]]


class EvaluationSplit:
    """A split, together with the word counts of the training text.

    Args:
        name: The split's name.
        transformed: The folder of the transformed examples.
        examples: The folder of the Examples.
        train_counts: int64 [V], how often training text has each word.

    Attributes:
        stream: The split's token stream.
        text: The split's text.
        lines: The index of the stream's lines.

    Raises:
        ComponentError: If the examples are missing or damaged.
    """

    def __init__(self, name: str, transformed: Path, examples: Path, train_counts: np.ndarray):
        self.stream = TokenStream(split_dir(transformed, name))
        self.text = SplitText(examples, name)
        self.lines = slices.LineIndex(self.stream)
        self._train_counts = train_counts
        self._documents: tuple[list[str], np.ndarray] | None = None  # names and ends of the examples

    def count_mismatches(self, model: ExportedModel) -> int:
        """Counts the tokens that a model's own tokenizer reads into other ids than the stream's.

        Args:
            model: The model.

        Returns:
            The number of differing, missing and surplus tokens. If it is 0, slices by document become available.
        """
        mismatched, ends = 0, [0]
        for ids in self.text.token_ids(model):
            mismatched += count_differences(ids, self.stream[ends[-1] : ends[-1] + len(ids)])
            ends.append(ends[-1] + len(ids))
        mismatched += max(0, len(self.stream) - ends[-1])
        if not mismatched:
            self._documents = self.text.documents, np.array(ends[1:])
        return mismatched

    def new_tally(self) -> metrics.Tally:
        """Returns an empty tally. It has slices by document only if `count_mismatches` returned 0 before."""
        return metrics.Tally(slices.Slicer(self.lines, self._train_counts, self._documents), len(self.lines))

    def figures(self, tally: metrics.Tally) -> dict:
        """Returns all figures of a tally, with the perplexity of the unigram model.

        Args:
            tally: A tally of the whole split.
        """
        counts = count_tokens(self.stream, len(self._train_counts))
        unigram = unigram_perplexity(self._train_counts, counts)
        return {**tally.figures(self.text.characters), "unigram_perplexity": unigram}

    def spelled_out(self, model: ExportedModel, stream: TokenStream, line_cross_entropy: np.ndarray) -> np.ndarray:
        """Computes the nats of each line of the text, with unknown words spelled out (see `comparison.py`).

        Args:
            model: The model that read the text.
            stream: The text's tokens by that model's tokenizer.
            line_cross_entropy: float64 [lines], the model's nats of each line.

        Returns:
            float64 [lines].
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
    """Reads every split once with a model.

    Args:
        read: Reads streams with a model.
        model: The model.
        splits: The splits by name.

    Returns:
        A tally of each split, by name.
    """
    tallies = {name: split.new_tally() for name, split in splits.items()}
    names = list(splits)
    for row, window in read(model, [split.stream for split in splits.values()]):
        tallies[names[row]].add(
            window.start, window.targets, window.log_probabilities, window.rank, window.top_probability
        )
    return tallies


def line_cross_entropy(read: Read, model: ExportedModel, stream: TokenStream) -> np.ndarray:
    """Computes the nats of each line of one stream.

    Args:
        read: Reads streams with a model.
        model: The model.
        stream: The stream.

    Returns:
        float64 [lines].
    """
    lines = slices.LineIndex(stream)
    nats = np.zeros(len(lines))
    for _, window in read(model, [stream]):
        line = lines.of(np.arange(window.start, window.start + len(window.targets)))
        np.add.at(nats, line, -window.log_probabilities.astype(np.float64))
    return nats


def count_differences(ids: np.ndarray, others: Sequence[int]) -> int:
    """Counts the positions at which two id sequences differ, including the surplus tokens of the longer one.

    Args:
        ids: int [n], one sequence.
        others: int [m], the other sequence.
    """
    shorter = min(len(ids), len(others))
    differing = np.count_nonzero(np.asarray(ids[:shorter]) != np.asarray(others[:shorter]))
    return int(differing) + abs(len(ids) - len(others))
