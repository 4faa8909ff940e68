"""Exports what was trained, and measures what smaller weights cost."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from models.perplexity import perplexity as perplexity_of
from models.serving import saved_model
from models.serving.export import export, write_card
from models.text.token_stream import Lanes, TokenStream

WINDOW = 1000  # tokens read at once


def export_measured(model, tokenizer, path: Path, card: dict, dtype: str, valid: TokenStream) -> dict:
    """Writes the SavedModel; its card and the figures tell what it lost where its weights are not float32.

    Args:
        model: A built `LanguageModel`.
        tokenizer: Its `Tokenizer`.
        path: The folder to write.
        card: The card, whose `training` has the float32 model's `valid_perplexity`.
        dtype: "float32", "float16" or "int8".
        valid: The eval split's tokens.

    Returns:
        `export_dtype`; for smaller weights also `exported_valid_perplexity`, and `export_loss`, its relative rise over
        the float32 model's.
    """
    export(model, tokenizer, path, card, dtype)
    figures = {"export_dtype": dtype}
    if dtype != "float32":
        found = perplexity(path, valid)
        exact = card["training"]["valid_perplexity"]
        figures |= {"exported_valid_perplexity": round(found, 6), "export_loss": round(found / exact - 1, 6)}
    write_card(path, {**card, "export": figures})
    return figures


def perplexity(path: Path, stream: TokenStream) -> float:
    """The SavedModel's perplexity over a split, each token predicted once, the first from `<eos>`."""
    loaded = saved_model.load(path)
    state = tf.zeros([1, *saved_model.state_shape(loaded)])
    lanes, total = Lanes(stream, 1), 0.0
    for start in range(0, lanes.lane_length, WINDOW):
        inputs, targets = map(tf.constant, lanes.window(start, WINDOW))
        log_probabilities, *_, state = loaded.evaluate_ids(inputs, targets, state)
        total += np.sum(log_probabilities.numpy(), dtype=np.float64)
    return perplexity_of(-total / len(stream))
