"""The exported SavedModel, as the Evaluator reads token streams with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

from components.base import ComponentError
from components.evaluator.slices import EOS_ID

WINDOW = 1000  # tokens of each stream that are read at once


@dataclass(frozen=True)
class Window:
    """What the model says of the tokens from offset `start` on; arrays are [tokens].

    Attributes:
        targets: int32, the tokens.
        log_probabilities: float32, natural logarithm of each token's probability.
        rank: int32, words that were strictly more probable than the token.
        top_probability: float32, probability of the most probable word.
    """

    start: int
    targets: np.ndarray
    log_probabilities: np.ndarray
    rank: np.ndarray
    top_probability: np.ndarray


class ExportedModel:
    """A SavedModel that the Trainer exported.

    Args:
        path: The SavedModel's folder.

    Attributes:
        words: list of bytes, the vocabulary by id.

    Raises:
        ComponentError: If it cannot be loaded or lacks the functions that are read here.
    """

    def __init__(self, path: Path):
        try:
            self._model = tf.saved_model.load(str(path))
            self._state_shape = self._model.signatures["step"].structured_input_signature[1]["state"].shape[1:]
            self._evaluate_ids, self._tokenize = self._model.evaluate_ids, self._model.tokenize
            self._weights = self._model._weights
            self.vocabulary = (path / "assets" / "vocabulary.txt").read_bytes()
        except (OSError, ValueError, KeyError, AttributeError, tf.errors.OpError) as error:
            raise ComponentError(
                f"{path} cannot be loaded as a model that this pipeline exported: {type(error).__name__}: {error}"
            ) from error
        self.words = self.vocabulary.removesuffix(b"\n").split(b"\n")

    def windows(self, streams: Sequence[Sequence[int]]) -> Iterator[tuple[int, Window]]:
        """Reads each stream as one lane: every token is predicted once, the first from `<eos>` and the zero state.

        The streams are read side by side, since a step costs hardly more for two rows than for one. Memory is one
        window's, whatever their lengths.

        Yields:
            The stream's place in `streams`, and its next window.
        """
        live = [row for row, stream in enumerate(streams) if len(stream)]
        state = tf.zeros([len(live), *self._state_shape])
        previous = np.full(len(streams), EOS_ID, np.int32)
        start = 0
        while live:
            parts = [np.asarray(streams[row][start : min(start + WINDOW, len(streams[row]))], np.int32) for row in live]
            targets = np.zeros([len(live), max(map(len, parts))], np.int32)
            for row, part in zip(targets, parts, strict=True):
                row[: len(part)] = part  # what a stream lacks at its end is read as `<unk>` and thrown away
            inputs = np.concatenate([previous[live, None], targets[:, :-1]], axis=1)
            *figures, state = self._evaluate_ids(tf.constant(inputs), tf.constant(targets), state)
            figures = [figure.numpy() for figure in figures]
            for place, (row, part) in enumerate(zip(live, parts, strict=True)):
                yield row, Window(start, part, *(figure[place, : len(part)] for figure in figures))
            previous[live] = targets[:, -1]
            start += WINDOW
            going_on = [place for place, row in enumerate(live) if start < len(streams[row])]
            live, state = [live[place] for place in going_on], tf.gather(state, np.array(going_on, np.int32))

    def tokenize(self, texts: list[bytes]) -> list[np.ndarray]:
        """Token ids of each text, by the tokenizer inside the SavedModel."""
        ids, lengths = (tensor.numpy() for tensor in self._tokenize(tf.constant(texts)))
        return [row[:length] for row, length in zip(ids, lengths, strict=True)]

    def embedding(self) -> np.ndarray | None:
        """The word vectors, float32 [V, d]; None where no variable of the SavedModel has that shape."""
        tables = [v for v in self._weights if v.shape.rank == 2 and v.shape[0] == len(self.words)]
        tables.sort(key=lambda variable: "embedding" not in variable.name)  # an untied output kernel has its shape
        return tables[0].numpy() if tables else None

    def next_words(self, phrases: list[str]) -> list[list[dict]]:
        """The ten most probable next words of each phrase, best first."""
        answer = self._model.signatures["serving_default"](text=tf.constant(phrases))
        return [
            [{"word": word.decode("utf-8", "replace"), "probability": float(p)} for word, p in zip(*row, strict=True)]
            for row in zip(answer["words"].numpy(), answer["probabilities"].numpy(), strict=True)
        ]
