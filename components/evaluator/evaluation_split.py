"""One split to evaluate on: its tokens as Transform wrote them, its text, and what a model makes of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from components.evaluator import comparison, metrics, slices
from components.evaluator.exported_model import ExportedModel
from components.evaluator.text import SplitText
from models.token_stream import TokenStream
from models.unigram import count_tokens, unigram_perplexity


class EvaluationSplit:
    """A split together with how often training text has each word.

    Args:
        transformed: `<transformed_examples>/Split-<name>`.
        examples: `<examples>/Split-<name>`.
        train_counts: int64 [V].
    """

    def __init__(self, transformed: Path, examples: Path, train_counts: np.ndarray):
        self.stream = TokenStream(transformed)
        self.text = SplitText(examples)
        self.lines = slices.Lines(self.stream)
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

    def spelled_out(self, model: ExportedModel, own_ids: bool) -> np.ndarray:
        """Nats of each line of the text, unknown words spelled out (see `comparison.py`): float64 [lines].

        Args:
            model: The model that reads.
            own_ids: Whether its own tokenizer cuts the text; otherwise it reads the stream.
        """
        ids = np.concatenate(list(self.text.token_ids(model))) if own_ids else self.stream
        lines = slices.Lines(ids)
        nats, unknown = np.zeros(len(lines)), np.zeros(len(lines))
        for _, window in model.windows([ids]):
            line = lines.of(np.arange(window.start, window.start + len(window.targets)))
            np.add.at(nats, line, -window.log_probabilities.astype(np.float64))
            np.add.at(unknown, line, window.targets == slices.UNK_ID)
        return comparison.with_spelling(
            nats,
            unknown,
            count_tokens(ids, len(model.words)),
            model.words,
            self.text.inked_characters,
            self.text.character_entropy(),
        )


def evaluate(model: ExportedModel, splits: Mapping[str, EvaluationSplit]) -> dict[str, metrics.Tally]:
    """Reads every split once with the model."""
    tallies = {name: split.new_tally() for name, split in splits.items()}
    names = list(splits)
    for row, window in model.windows([split.stream for split in splits.values()]):
        tallies[names[row]].add(
            window.start, window.targets, window.log_probabilities, window.rank, window.top_probability
        )
    return tallies


def count_differences(ids: np.ndarray, others: Sequence[int]) -> int:
    """Places at which two id sequences differ, surplus tokens of the longer one included."""
    shorter = min(len(ids), len(others))
    differing = np.count_nonzero(np.asarray(ids[:shorter]) != np.asarray(others[:shorter]))
    return int(differing) + abs(len(ids) - len(others))
