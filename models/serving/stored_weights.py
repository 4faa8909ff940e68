"""The weights of an exported model: their order, how its files name them, and the architecture that their shapes imply.

The order is that of `LanguageModel.trainable_variables`: the embedding; kernel, recurrent kernel and bias of each LSTM
layer; the projection, where word vectors and hidden states differ in size; the kernel of an output layer that is not
tied to the embedding, and its bias if it has one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

EMBEDDING = 0  # the place of the embedding in the order


def layer_places(layer: int) -> range:
    """Finds the weights of an LSTM layer.

    Args:
        layer: The layer's index, from 0.

    Returns:
        The places of its kernel, recurrent kernel and bias.
    """
    return range(1 + 3 * layer, 4 + 3 * layer)


def projection_place(num_layers: int) -> int:
    """Finds the projection from hidden states to the size of the word vectors, in a model that has one.

    Args:
        num_layers: Number of LSTM layers.

    Returns:
        The projection's place.
    """
    return 1 + 3 * num_layers


def output_place(num_layers: int, projected: bool) -> int:
    """Finds the kernel of an untied output layer; its bias comes next.

    Args:
        num_layers: Number of LSTM layers.
        projected: Whether the model has a projection.

    Returns:
        The kernel's place: the number of weights before it.
    """
    return projection_place(num_layers) + projected


def architecture(shapes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """Derives the architecture of a model from the shapes of its weights.

    Args:
        shapes: The shapes, in the order of the weights.

    Returns:
        Arguments of `LanguageModel`: `vocabulary_size`, `units`, `num_layers`, `embedding_units`, `tie_embeddings` and
        `output_bias`.
    """
    vocabulary_size, embedding_units = shapes[EMBEDDING]
    units, num_layers = shapes[2][0], 0
    while list(shapes[1 + 3 * num_layers : 4 + 3 * num_layers])[1:] == [(units, 4 * units), (4 * units,)]:
        num_layers += 1
    output = shapes[output_place(num_layers, embedding_units != units) :]
    return {
        "vocabulary_size": vocabulary_size,
        "units": units,
        "num_layers": num_layers,
        "embedding_units": embedding_units,
        "tie_embeddings": not output,
        "output_bias": len(output) == 2,
    }


def variables(loaded: Any) -> list[tf.Variable]:
    """Returns the variables that hold the weights of a loaded SavedModel, in the type that they are stored in.

    Args:
        loaded: What `models.serving.saved_model.load` returned.

    Raises:
        AttributeError: If `models.serving.export` did not write the model.
    """
    return list(loaded._weights)


def weight(loaded: Any, place: int) -> np.ndarray:
    """Returns a weight of a loaded SavedModel.

    Args:
        loaded: What `models.serving.saved_model.load` returned.
        place: The weight's place in the order.

    Returns:
        float32, whatever type it is stored in.
    """
    value = loaded._weights[place].numpy().astype(np.float32)
    scales = loaded._scales.get(str(place))  # int8 weights have one scale for each row
    return value if scales is None else value * scales.numpy()[:, None]


def read_weights(saved_model: Path) -> list[np.ndarray]:
    """Reads the weights of a SavedModel from its file of variables, without its graph.

    So no operation of tensorflow-text is needed.

    Args:
        saved_model: Its folder.

    Returns:
        float32 each, in order; empty if `models.serving.export` did not write the model.

    Raises:
        ValueError, tf.errors.OpError: If there is no such file, or it is damaged.
    """
    reader = tf.train.load_checkpoint(str(saved_model / "variables" / "variables"))
    weights: list[np.ndarray] = []
    while reader.has_tensor(name := f"_weights/{len(weights)}/.ATTRIBUTES/VARIABLE_VALUE"):
        value = reader.get_tensor(name).astype(np.float32)
        scales = name.replace("_weights", "_scales", 1)  # of a model that was exported as int8
        weights.append(value * reader.get_tensor(scales)[:, None] if reader.has_tensor(scales) else value)
    return weights
