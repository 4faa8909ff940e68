"""Starts a model from the weights of one that was exported: the same vocabulary, or the words that two share."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.serving import saved_model


def warm_start(model, words: Sequence[str], path: str | Path) -> dict:
    """Gives a `LanguageModel` the weights of a pushed model.

    The LSTM layers' weights are copied whole. Of weights with a row for each word (the embedding, an untied projection
    and its bias) the rows of the words in both vocabularies are copied; other words keep their initial values.

    Args:
        model: A built `LanguageModel`, which is changed.
        words: Its vocabulary.
        path: A pushed version, such as `output/serving/3`: a SavedModel that `models.serving.export` wrote.

    Returns:
        dict of `shared_words` (words in both vocabularies) and `share_shared` (their share of the model's vocabulary).

    Raises:
        ValueError: If there is no such model, or its units, layers or output layer differ from this model's.
    """
    path = Path(path).expanduser()
    weights, old_words = _read(path)
    variables = model.trainable_variables
    found, expected = _architecture([w.shape for w in weights]), _architecture([tuple(v.shape) for v in variables])
    if found != expected:
        differences = "; ".join(
            f"{key}: found {found[key]}, expected {expected[key]}" for key in expected if found[key] != expected[key]
        )
        raise ValueError(
            f"Training cannot start from the model {path} (trainer.initial_model). {differences}. Configure the same "
            "values, or start from another model or from none."
        )
    old_rows = {word: row for row, word in enumerate(old_words)}
    shared = [(row, old_rows[word]) for row, word in enumerate(words) if word in old_rows]
    rows, old = np.array(shared, np.int64).reshape(-1, 2).T
    by_word = [0, *range(1 + 3 * model.num_layers, len(variables))]
    for place, (variable, weight) in enumerate(zip(variables, weights, strict=True)):
        if place in by_word:
            value = variable.numpy()
            value[rows] = weight[old]
            variable.assign(value)
        else:
            variable.assign(weight)
    if model.target_table is not None:
        model.target_table.assign(model.embedding.embeddings.numpy())
    share = len(rows) / len(words)
    logging.info("Starting from %s, which has %.1f%% of the %s words.", path, 100 * share, f"{len(words):,}")
    return {"shared_words": len(rows), "share_shared": round(share, 4)}


def _read(path: Path) -> tuple[list[np.ndarray], list[str]]:
    """Reads the weights in the order of `LanguageModel.trainable_variables`, and the vocabulary.

    The variables are read from their file without the graph, so no operation of tensorflow-text is needed.
    """
    vocabulary, variables = path / saved_model.VOCABULARY, path / "variables" / "variables"
    if not vocabulary.is_file() or not variables.with_suffix(".index").is_file():
        versions = list(saved_model.versions(path).values())
        hint = f"a version in it, such as {versions[-1]}" if versions else "the folder of a pushed version"
        raise ValueError(f"trainer.initial_model: found no model at {path}, expected {hint}.")
    with vocabulary.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        words = [line.rstrip("\n") for line in lines]
    reader = tf.train.load_checkpoint(str(variables))
    weights = []
    while reader.has_tensor(name := f"_weights/{len(weights)}/.ATTRIBUTES/VARIABLE_VALUE"):
        weight = reader.get_tensor(name).astype(np.float32)
        scales = name.replace("_weights", "_scales", 1)  # of a model that was exported as int8
        weights.append(weight * reader.get_tensor(scales)[:, None] if reader.has_tensor(scales) else weight)
    if len(weights) < 4 or len(weights[0]) != len(words):
        raise ValueError(
            f"trainer.initial_model: {path} is a SavedModel, but not one that this pipeline exported. Expected the "
            "folder of a pushed version."
        )
    return weights, words


def _architecture(shapes: Sequence[tuple[int, ...]]) -> dict:
    """Derives the settings that must agree, by configuration key, from the shapes of a model's weights."""
    units = shapes[0][1]
    layers = sum(shape == (units, 4 * units) for shape in shapes) // 2
    output = shapes[1 + 3 * layers :]
    return {
        "model.units": units,
        "model.num_layers": layers,
        "model.tie_embeddings": not output,
        "model.output_bias": len(output) == 2,
    }
