"""The exported SavedModel, with the functions by which the Evaluator reads token streams."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.base import ComponentError
from components.evaluator.figures.slices import EOS_ID
from models.serving import saved_model, stored_weights

WINDOW = 1000  # number of tokens of each stream that are read at once
PADDED_BYTES = 4 << 20  # texts that are tokenized at once, each as long as the longest; one longer text is read alone


@dataclass(frozen=True)
class Window:
    """The model's predictions of consecutive tokens; arrays are [tokens].

    Attributes:
        start: Offset of the first token.
        targets: int32, the tokens.
        log_probabilities: float32, natural logarithm of each token's probability.
        rank: int32, number of words that were strictly more probable than the token.
        top_probability: float32, probability of the most probable word.
    """

    start: int
    targets: np.ndarray
    log_probabilities: np.ndarray
    rank: np.ndarray
    top_probability: np.ndarray


@contextlib.contextmanager
def loading(path: Path) -> Iterator[None]:
    """Names the model in the error of a block that loads it.

    Args:
        path: The SavedModel's folder.

    Raises:
        ComponentError: If the model cannot be loaded, or lacks what the block takes from it.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, AttributeError, tf.errors.OpError) as error:
        raise ComponentError(
            f"{path} cannot be loaded as a model that this pipeline exported: {type(error).__name__}: {error}"
        ) from error


class ExportedModel:
    """A SavedModel that the Trainer exported.

    Args:
        path: The SavedModel's folder.

    Attributes:
        path: The SavedModel's folder.
        vocabulary: The bytes of `vocabulary.txt`.
        words: List of bytes, the vocabulary by id.

    Raises:
        ComponentError: If the model cannot be loaded or does not have the functions that are called here.
    """

    def __init__(self, path: Path):
        tf.config.experimental.enable_tensor_float_32_execution(False)  # a GPU would round products to 10 bits
        self.path = path
        with loading(path):
            self._model = saved_model.load(path)
            self._state_shape = saved_model.state_shape(self._model)
            self._evaluate_ids, self._tokenize = self._model.evaluate_ids, self._model.tokenize
            self._variables = stored_weights.variables(self._model)
            self.vocabulary = (path / saved_model.VOCABULARY).read_bytes()
        self.words = self.vocabulary.removesuffix(b"\n").split(b"\n")

    def windows(
        self, streams: Sequence[Sequence[int]], start: int = 0, stop: int | None = None, state: np.ndarray | None = None
    ) -> Iterator[tuple[int, Window]]:
        """Reads each stream from its start: every token is predicted once, the first from `<eos>` and the zero state.

        The streams are read side by side, because a step costs hardly more for two rows than for one. The memory does
        not depend on their lengths.

        Args:
            streams: Token ids, sequences whose slices are int32 arrays.
            start: Offset of the first token, a multiple of `WINDOW`.
            stop: Offset at which to stop, a multiple of `WINDOW`; None reads to the streams' ends.
            state: The state at `start`, as `states` returns it; None is the zero state.

        Yields:
            The stream's index in `streams`, and its next window.
        """
        state = self._zeros(streams) if state is None else state.copy()
        for offset, rows, tokens in _cut(streams, start, stop):
            inputs, targets, before = map(tf.constant, (tokens[:, :-1], tokens[:, 1:], state[rows]))
            *figures, after = (tensor.numpy() for tensor in self._evaluate_ids(inputs, targets, before))
            state[rows] = after
            for place, row in enumerate(rows):
                length = min(tokens.shape[1] - 1, len(streams[row]) - offset)
                own = (values[place, :length] for values in (tokens[:, 1:], *figures))
                yield row, Window(offset, *own)

    def states(self, streams: Sequence[Sequence[int]], every: int) -> Iterator[tuple[int, np.ndarray]]:
        """Computes the states from which `windows` can start, without predicting anything, at a fraction of its cost.

        Args:
            streams: Token ids, sequences whose slices are int32 arrays.
            every: Distance of the offsets, a multiple of `WINDOW`.

        Yields:
            Each of the offsets 0, `every`, 2 `every`, ... within the longest stream, and the state there, float32
            [streams, layers, 2, units].
        """
        state = self._zeros(streams)
        for offset, rows, tokens in _cut(streams):
            if offset % every == 0:
                yield offset, state.copy()
            state[rows] = self._model.read_ids(tf.constant(tokens[:, :-1]), tf.constant(state[rows])).numpy()

    def _zeros(self, streams: Sequence) -> np.ndarray:
        return np.zeros([len(streams), *self._state_shape], np.float32)

    def tokenize(self, texts: list[bytes]) -> list[np.ndarray]:
        """Returns the token ids of each text, int32 [n] each, by the tokenizer inside the SavedModel.

        Args:
            texts: The texts as bytes.
        """
        found = []
        for group in _groups(texts):
            ids, lengths = (tensor.numpy() for tensor in self._tokenize(tf.constant(group)))
            # Copies, since a part of the padded array would keep all of it.
            found += [row[:length].copy() for row, length in zip(ids, lengths, strict=True)]
        return found

    def embedding(self) -> np.ndarray | None:
        """Returns the word vectors, float32 [V, d], or None if the SavedModel has no such variable."""
        return self._matrix("embedding")

    def output_kernel(self) -> np.ndarray | None:
        """Returns the output layer's own kernel, float32 [V, d], or None if the model is tied and has none."""
        return self._matrix("output_kernel")

    def weights(self) -> list[np.ndarray]:
        """Returns all weights as float32, in the order of `LanguageModel.trainable_variables`."""
        return [stored_weights.weight(self._model, place) for place in range(len(self._variables))]

    def _matrix(self, name: str) -> np.ndarray | None:
        for place, variable in enumerate(self._variables):
            if name in variable.name:
                return stored_weights.weight(self._model, place)
        return None

    def next_words(self, phrases: list[str]) -> list[list[dict]]:
        """Returns the ten most probable next words of each phrase, best first, as dicts of `word` and `probability`.

        Args:
            phrases: The phrases.
        """
        answer = self._model.signatures["serving_default"](text=tf.constant(phrases))
        return [
            [{"word": word.decode("utf-8", "replace"), "probability": float(p)} for word, p in zip(*row, strict=True)]
            for row in zip(answer["words"].numpy(), answer["probabilities"].numpy(), strict=True)
        ]


def _groups(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Divides texts, in order, into groups that are small although each text is padded to the longest of its group."""
    start = longest = 0
    for end, text in enumerate(texts):
        longest = max(longest, len(text))
        if end > start and (end + 1 - start) * longest > PADDED_BYTES:
            yield texts[start:end]
            start, longest = end, len(text)
    if texts[start:]:
        yield texts[start:]


def _cut(
    streams: Sequence[Sequence[int]], start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, list[int], np.ndarray]]:
    """Cuts several streams, side by side, into windows.

    Yields:
        The window's offset; the indices of the streams that reach it; and their tokens there, int32 [rows, tokens + 1]:
        each row starts with the token before the window. A row whose stream ends is filled up with `<unk>`.
    """
    end = max(map(len, streams), default=0)
    for offset in range(start, end if stop is None else min(stop, end), WINDOW):
        rows = [row for row, stream in enumerate(streams) if len(stream) > offset]
        tokens = np.zeros([len(rows), min(WINDOW, end - offset) + 1], np.int32)
        for row, own in zip(rows, tokens, strict=True):
            before = streams[row][offset - 1 : offset] if offset else [EOS_ID]
            part = streams[row][offset : offset + WINDOW]
            own[: len(part) + 1] = np.concatenate([before, part])
        yield offset, rows, tokens
