"""Exports a language model as a `.tflite` for devices, and reads texts through the LiteRT interpreter."""

import math
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.perplexity import perplexity
from models.serving.export import best_words
from models.serving.exported_weights import ExportedWeights
from models.serving.reader import WindowedReader
from models.text.token_stream import TokenStream
from models.text.tokenizer import EOS_ID

BLOCK = 65_536  # tokens of a stream that are held in memory at once


def convert(model, quantize: str | None = None) -> bytes:
    """Converts a model to a `.tflite` of LiteRT's builtin operations, with two signatures for one text at a time.

    Both take `token_ids` int64 `[1]`, the word that was read last (at first `<eos>`), and `state` float32
    `[1, layers, 2, units]` (at first zeros), and return the `state` to pass next. `step` also returns
    `log_probabilities` float32 `[1, V]` of the next word; `next_words` returns `ids` int32 `[1, 10]` and
    `probabilities` float32 `[1, 10]`, the model's own, best first, without `<unk>` and `<eos>`. So no output of
    `next_words` is as large as the vocabulary.

    Args:
        model: A built `LanguageModel`.
        quantize: None (default) for float32 weights; "float16"; or "int8", with int8 products if the device has them.

    Returns:
        The contents of the file.
    """
    module = _DeviceModule(model)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.step.get_concrete_function(), module.next_words.get_concrete_function()], module
    )
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


class _DeviceModule(tf.Module):
    """`step` and `next_words` over one copy of the weights."""

    def __init__(self, model):
        super().__init__()
        self._weights = ExportedWeights(model)
        reader = WindowedReader(self._weights)
        inputs = [
            tf.TensorSpec([1], tf.int64, "token_ids"),
            tf.TensorSpec([1, model.num_layers, 2, model.units], tf.float32, "state"),
        ]

        def step(token_ids, state):
            hidden, state = reader.step(token_ids, state)
            return {"log_probabilities": reader.log_probabilities(hidden), "state": state}

        def next_words(token_ids, state):
            hidden, state = reader.step(token_ids, state)
            ids, probabilities = best_words(self._weights.logits(hidden))
            return {"ids": ids, "probabilities": probabilities, "state": state}

        self.step = tf.function(step, inputs)
        self.next_words = tf.function(next_words, inputs)


class DeviceModel:
    """A `.tflite` that `convert` wrote, run by the LiteRT interpreter; needs the extra `litert`.

    Args:
        path: The file.

    Raises:
        ImportError: If the extra `litert` is not installed.
    """

    def __init__(self, path: str | Path):
        from ai_edge_litert.interpreter import Interpreter

        self._step = Interpreter(model_path=str(path), num_threads=1).get_signature_runner("step")
        self._zeros = np.zeros(self._step.get_input_details()["state"]["shape"], np.float32)
        # The first call prepares the interpreter and prints its messages, so that they come before those of callers.
        self._step(token_ids=np.array([EOS_ID], np.int64), state=self._zeros)

    def perplexity(self, stream: TokenStream) -> float:
        """Computes the perplexity over a split: each word is predicted once, the first from `<eos>`.

        Args:
            stream: The split's tokens.

        Returns:
            The perplexity, infinite if a log-probability is not finite.
        """
        state, token, total = self._zeros, EOS_ID, 0.0
        for start in range(0, len(stream), BLOCK):
            for target in stream[start : start + BLOCK]:
                outputs = self._step(token_ids=np.array([token], np.int64), state=state)
                state, token = outputs["state"], target
                total -= float(outputs["log_probabilities"][0, target])
        return perplexity(total / len(stream)) if math.isfinite(total) else math.inf
