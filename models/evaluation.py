"""Exact perplexity of a model on a split: one lane, every token predicted once, the first from `<eos>`."""

import math

import numpy as np
import tensorflow as tf

from models.augmented_loss import MAX_LOGITS
from models.language_model import LanguageModel
from models.token_stream import Lanes, TokenStream


def log_probabilities(model: LanguageModel, stream: TokenStream, window: int = 1000):
    """Yields the natural log-probabilities of the stream's tokens, float32 [<= window], in order.

    Args:
        model: The model, read without dropout, at temperature 1.
        stream: The split's tokens.
        window: Tokens read at a time (fewer where the vocabulary is large). The figures do not depend on it.
    """
    lanes = Lanes(stream, 1)
    window = max(1, min(window, MAX_LOGITS // model.vocabulary_size))
    state = model.zero_state(1)
    for start in range(0, lanes.lane_length, window):
        inputs, targets = map(tf.constant, lanes.window(start, window))
        result = model.compiled_test_step({"inputs": inputs, "targets": targets, "state": state})
        state = result["state"]
        yield result["log_probabilities"].numpy()[0]


def perplexity(model: LanguageModel, stream: TokenStream, window: int = 1000) -> float:
    """exp(total cross-entropy / tokens), `<eos>` counted; the total is summed in float64."""
    total = sum(float(np.sum(part, dtype=np.float64)) for part in log_probabilities(model, stream, window))
    return math.exp(min(-total / len(stream), 700.0))
