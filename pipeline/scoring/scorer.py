"""Scores lines with a SavedModel, in batches of lines of similar length."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf

from components.evaluator.exported_model import loading
from models.serving import saved_model

MAX_BATCH_LINES = 128  # lines in a batch
MAX_PADDED_BYTES = 64 * 1024  # size of a batch: its longest line times its rows


class Scorer:
    """Runs a model's signature `score` over many lines.

    Args:
        path: Folder of the SavedModel.

    Raises:
        ComponentError: If the model cannot be loaded or does not have the signature.
    """

    def __init__(self, path: Path):
        with loading(path):
            self._model = saved_model.load(path)
            self._score = self._model.signatures["score"]
        self._pool = ThreadPoolExecutor(os.cpu_count())

    def score(self, lines: Sequence[bytes]) -> tuple[list[str], int]:
        """Scores lines. One without tokens has log-probability 0 and perplexity 1.

        Args:
            lines: The lines, without newlines. They are read with them, so that a blank line has an `<eos>` where the
                model keeps blank lines.

        Returns:
            A JSON object for each line, in order, and the number of tokens in all.
        """
        order = sorted(range(len(lines)), key=lambda place: len(lines[place]))
        batches = batches_of([len(lines[place]) for place in order])
        places = [order[start:end] for start, end in batches]
        results = [""] * len(lines)
        num_tokens = 0
        # The longest first, so that no core is busy with a long batch at the end.
        for batch, outputs in self._pool.map(lambda batch: (batch, self._run(lines, batch)), reversed(places)):
            for place, log_probability, tokens, perplexity in zip(batch, *outputs, strict=True):
                num_tokens += int(tokens)
                results[place] = json.dumps(
                    # Write only the digits that a float32 has.
                    {
                        "log_probability": float(str(log_probability)),
                        "num_tokens": int(tokens),
                        "perplexity": float(str(perplexity)),
                    }
                )
        return results, num_tokens

    def _run(self, lines: Sequence[bytes], batch: Sequence[int]) -> list:
        outputs = self._score(text=tf.constant([lines[place] + b"\n" for place in batch]))
        return [outputs[name].numpy() for name in ("log_probability", "num_tokens", "perplexity")]


def batches_of(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Divides lines into batches that fit the limits.

    Args:
        lengths: The lines' lengths in bytes, ascending.

    Returns:
        (start, end) of each batch.
    """
    batches, start = [], 0
    for end in range(1, len(lengths) + 1):
        rows = end + 1 - start
        if end == len(lengths) or rows > MAX_BATCH_LINES or rows * lengths[end] > MAX_PADDED_BYTES:
            batches.append((start, end))
            start = end
    return batches
