"""Reads texts with a model that adapts: every token is predicted once, in order, before the model learns from it."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from components.evaluator.adaptive.dynamic_evaluation import DynamicEvaluation
from components.evaluator.adaptive.neural_cache import NeuralCache
from components.evaluator.adaptive.settings import AdaptiveSettings
from components.evaluator.adaptive.trained_model import rebuild
from components.evaluator.exported_model import ExportedModel
from models.perplexity import perplexity

SLICE = 100_000  # number of tokens of a stream that are in memory at once


class Reader(Protocol):
    """Reads a text block by block; see `NeuralCache` and `DynamicEvaluation`.

    Attributes:
        block_size: Number of tokens that `read` takes; the last block of a text may have fewer.
    """

    block_size: int

    def start(self) -> None:
        """Forgets what was read, because a new text begins."""

    def read(self, block: np.ndarray) -> np.ndarray:
        """Returns the natural log-probabilities, float64 [n], of the text's next tokens, int [n].

        Args:
            block: int [n], the tokens that follow what was read.
        """


def make_reader(mode: str, model: ExportedModel, train: Sequence[int], settings: AdaptiveSettings) -> Reader:
    """Creates the reader of a mode.

    Args:
        mode: "cache" or "dynamic".
        model: The exported model.
        train: Tokens of training text. Only "dynamic" reads them.
        settings: The settings of all modes.
    """
    if mode == "cache":
        return NeuralCache(rebuild(model), **settings.of_mode(mode))
    logging.info("Measuring the gradients of training text for dynamic evaluation.")
    return DynamicEvaluation(rebuild(model), train, **settings.of_mode(mode))


def log_probabilities(reader: Reader, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Computes the natural log-probabilities of one text's tokens, in order.

    Args:
        reader: The reader; it is started first.
        parts: The text's tokens in pieces of any length, int [n] each.

    Yields:
        float64 arrays of any length.
    """
    reader.start()
    waiting = np.zeros([0], np.int32)
    for part in parts:
        waiting = np.concatenate([waiting, part])
        whole = len(waiting) // reader.block_size * reader.block_size
        for start in range(0, whole, reader.block_size):
            yield reader.read(waiting[start : start + reader.block_size])
        waiting = waiting[whole:]
    if len(waiting):
        yield reader.read(waiting)


def evaluate(
    model: ExportedModel, streams: Mapping[str, Sequence[int]], train: Sequence[int], settings: AdaptiveSettings
) -> dict[str, dict[str, Any]]:
    """Computes the perplexity of each split in each mode; every split is read from the trained weights.

    Args:
        model: The exported model.
        streams: The splits by name: token sequences whose slices are int arrays.
        train: The tokens of the training text.
        settings: The modes and their settings.

    Returns:
        For each mode the perplexity by split, and the mode's `settings`.
    """
    figures = {}
    for mode in dict.fromkeys(settings.adaptive):
        reader = make_reader(mode, model, train, settings)
        figures[mode] = {name: adapted_perplexity(reader, stream) for name, stream in streams.items()}
        figures[mode]["settings"] = settings.of_mode(mode)
        shown = ", ".join(f"{name} {figures[mode][name]:.2f}" for name in streams)
        logging.info("Perplexity with adaptive evaluation (%s): %s.", mode, shown)
    return figures


def adapted_perplexity(reader: Reader, stream: Sequence[int]) -> float:
    """Computes exp(total cross-entropy / number of tokens) of a text.

    Args:
        reader: The reader.
        stream: The text's tokens, a sequence whose slices are int arrays.
    """
    parts = (stream[start : start + SLICE] for start in range(0, len(stream), SLICE))
    total = sum(float(part.sum()) for part in log_probabilities(reader, parts))
    return perplexity(-total / len(stream))
