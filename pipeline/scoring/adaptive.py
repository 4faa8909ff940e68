"""Scores lines as one text with a model that adapts to it: a neural cache, or dynamic evaluation."""

import itertools
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pydantic

from components.evaluator.adaptive import evaluation
from components.evaluator.adaptive.settings import AdaptiveSettings
from components.evaluator.exported_model import ExportedModel
from models.perplexity import perplexity
from pipeline.scoring.lines import InputError, LineReader

LINES_AT_ONCE = 256  # lines that are tokenized together


def read_settings(mode: str, assignments: Sequence[str]) -> AdaptiveSettings:
    """Reads the settings of a mode.

    Args:
        mode: "cache" or "dynamic".
        assignments: Texts `KEY=VALUE`.

    Raises:
        ValueError: If a key is unknown or a value is wrong.
    """
    known = AdaptiveSettings().of_mode(mode)
    values = dict(assignment.partition("=")[::2] for assignment in assignments)
    unknown = sorted(values.keys() - known)
    if unknown:
        raise ValueError(f"--setting {unknown[0]}: expected one of {', '.join(known)} with --adaptive {mode}.")
    try:
        return AdaptiveSettings.model_validate_strings(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"--setting {first['loc'][0]}: found {first['input']!r}, {first['msg']}.") from error


class AdaptiveScorer:
    """Reads lines in order as one text, and predicts each token once from all tokens before it.

    Args:
        path: Folder of the SavedModel.
        mode: "cache" or "dynamic".
        settings: The settings of the mode.
        gradient_text: File of training text, from which `dynamic` takes the scale of its gradients; None with `cache`.

    Attributes:
        log_probability: Sum over all tokens so far, natural logarithm.
        num_tokens: Number of tokens so far.

    Raises:
        InputError: If the training text cannot be read or is empty.
    """

    def __init__(self, path: Path, mode: str, settings: AdaptiveSettings, gradient_text: str | None):
        self._model = ExportedModel(path)
        self.log_probability, self.num_tokens = 0.0, 0
        self._mode, self._settings, self._train = mode, settings, np.zeros([0], np.int32)
        if mode == "dynamic":
            self._train = np.concatenate([self._train, *(ids for _, ids in self._tokens(LineReader(gradient_text)))])
            if not len(self._train):
                raise InputError(f"{gradient_text} holds no text; --gradient-text needs some of the training text.")

    def score(self, lines: Iterable[bytes]) -> Iterator[str]:
        """Yields a JSON object for each line, in order, in the form of `Scorer.score`.

        Args:
            lines: The lines of one text, without newlines.
        """
        waiting: deque[tuple[int, int]] = deque()  # position of the line's end in the text, number of its tokens
        end = done = 0
        carried = np.zeros([0])

        def parts() -> Iterator[np.ndarray]:
            nonlocal end
            for lengths, ids in self._tokens(lines):
                for length in lengths:
                    end += length
                    waiting.append((end, length))
                yield ids

        reader = evaluation.make_reader(self._mode, self._model, self._train, self._settings)
        for scores in evaluation.log_probabilities(reader, parts()):
            carried = np.concatenate([carried, scores])
            while waiting and waiting[0][0] <= done + len(carried):
                _, length = waiting.popleft()
                yield self._result(carried[:length])
                carried, done = carried[length:], done + length
        for _ in waiting:  # lines without tokens at the end
            yield self._result(carried[:0])

    def _result(self, scores: np.ndarray) -> str:
        total, tokens = float(scores.sum()), len(scores)
        self.log_probability += total
        self.num_tokens += tokens
        mean = perplexity(-total / max(tokens, 1))
        values = {"log_probability": total, "num_tokens": tokens, "perplexity": mean}
        # Write only the digits that a float32 has.
        return json.dumps({key: float(str(np.float32(v))) if key != "num_tokens" else v for key, v in values.items()})

    def _tokens(self, lines: Iterable[bytes]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yields groups of lines: the number of tokens of each line with its newline, and all their tokens."""
        lines = iter(lines)
        while group := list(itertools.islice(lines, LINES_AT_ONCE)):
            ids = self._model.tokenize([line + b"\n" for line in group])
            yield [len(row) for row in ids], np.concatenate(ids).astype(np.int32)
