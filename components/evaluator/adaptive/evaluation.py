"""Reads texts with a model that adapts: every token is predicted once, in order, before it is learned from."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from components.evaluator.adaptive.dynamic_evaluation import DynamicEvaluation
from components.evaluator.adaptive.neural_cache import NeuralCache
from components.evaluator.adaptive.settings import AdaptiveSettings
from components.evaluator.adaptive.trained_model import rebuild
from components.evaluator.exported_model import ExportedModel
from models.perplexity import perplexity as perplexity_of

SLICE = 100_000  # tokens of a stream that are in memory at once


class Reader(Protocol):
    """What reads a text block by block; see `NeuralCache` and `DynamicEvaluation`."""

    block_size: int

    def start(self) -> None: ...
    def read(self, block: np.ndarray) -> np.ndarray: ...


def make_reader(mode: str, model: ExportedModel, train: Sequence[int], settings: AdaptiveSettings) -> Reader:
    """The reader of a mode; `train` is training text's tokens, which only `dynamic` looks at."""
    if mode == "cache":
        return NeuralCache(rebuild(model), **settings.of_mode(mode))
    logging.info("Measuring the gradients of training text for dynamic evaluation.")
    return DynamicEvaluation(rebuild(model), train, **settings.of_mode(mode))


def log_probabilities(reader: Reader, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Natural log-probabilities of one text's tokens, in order.

    Args:
        reader: Who reads.
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
    """Perplexities by mode, each split read on its own from the trained weights.

    Args:
        model: The exported model.
        streams: Splits: `len()` and slices of which are int arrays.
        train: The training text.
        settings: Which modes, and how.

    Returns:
        For each mode the perplexity by split, and its `settings`.
    """
    found = {}
    for mode in dict.fromkeys(settings.adaptive):
        reader = make_reader(mode, model, train, settings)
        found[mode] = {name: perplexity(reader, stream) for name, stream in streams.items()}
        found[mode]["settings"] = settings.of_mode(mode)
        figures = ", ".join(f"{name} {found[mode][name]:.2f}" for name in streams)
        logging.info("Perplexity with adaptive evaluation (%s): %s.", mode, figures)
    return found


def perplexity(reader: Reader, stream: Sequence[int]) -> float:
    """exp(total cross-entropy / tokens)."""
    parts = (stream[start : start + SLICE] for start in range(0, len(stream), SLICE))
    total = sum(float(part.sum()) for part in log_probabilities(reader, parts))
    return perplexity_of(-total / len(stream))
