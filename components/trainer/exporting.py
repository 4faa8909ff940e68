"""Exports a trained model, and measures how much smaller weights raise its perplexity."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from components.artifacts.model_card import CARD, ModelCard
from models.perplexity import perplexity
from models.serving import saved_model
from models.serving.export import export
from models.text.token_stream import Lanes, TokenStream

TOKENS_AT_ONCE = 1000  # number of tokens that are read at once


def export_measured(model, tokenizer, path: Path, card: ModelCard, dtype: str, valid: TokenStream) -> dict:
    """Writes the SavedModel; if its weights are not float32, measures their loss for the card and the figures.

    Args:
        model: A built `LanguageModel`.
        tokenizer: The model's `Tokenizer`.
        path: The folder to write.
        card: The model card; its `training` has the float32 model's `valid_perplexity`.
        dtype: "float32", "float16" or "int8".
        valid: The eval split's tokens.

    Returns:
        `export_dtype`; for smaller weights also `exported_valid_perplexity`, and `export_loss`, its relative rise over
        the float32 model's.
    """
    export(model, tokenizer, path, card, dtype)
    figures = {"export_dtype": dtype}
    if dtype != "float32":
        exported = exported_perplexity(path, valid)
        exact = card["training"]["valid_perplexity"]
        figures |= {"exported_valid_perplexity": round(exported, 6), "export_loss": round(exported / exact - 1, 6)}
    CARD.write(path, {**card, "export": figures})
    return figures


def exported_perplexity(path: Path, stream: TokenStream) -> float:
    """Computes a SavedModel's perplexity on a split; each token is predicted once, the first from `<eos>`.

    Args:
        path: The SavedModel's folder.
        stream: The split's tokens.
    """
    loaded = saved_model.load(path)
    state = tf.zeros([1, *saved_model.state_shape(loaded)])
    lanes, total = Lanes(stream, 1), 0.0
    for start in range(0, lanes.lane_length, TOKENS_AT_ONCE):
        inputs, targets = map(tf.constant, lanes.window(start, TOKENS_AT_ONCE))
        log_probabilities, *_, state = loaded.evaluate_ids(inputs, targets, state)
        total += np.sum(log_probabilities.numpy(), dtype=np.float64)
    return perplexity(-total / len(stream))
