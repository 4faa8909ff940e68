"""Starts a model from the weights of one that was exported: the same vocabulary, or the words that two share."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.serving import saved_model, stored_weights


def warm_start(model, words: Sequence[str], path: str | Path) -> dict:
    """Gives a `LanguageModel` the weights of a pushed model.

    The weights of the LSTM layers and of the projection are copied whole. Of weights with a row for each word (the
    embedding, an untied output layer and its bias) the rows of the words in both vocabularies are copied; other words
    keep their initial values.

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
    found, expected = (_architecture([tuple(w.shape) for w in given]) for given in (weights, variables))
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
    output = stored_weights.output_place(model.num_layers, model.projection is not None)
    by_word = [stored_weights.EMBEDDING, *range(output, len(variables))]
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
    """Reads the weights in the order of `LanguageModel.trainable_variables`, and the vocabulary."""
    vocabulary = path / saved_model.VOCABULARY
    if not vocabulary.is_file() or not (path / "variables" / "variables.index").is_file():
        versions = list(saved_model.versions(path).values())
        hint = f"a version in it, such as {versions[-1]}" if versions else "the folder of a pushed version"
        raise ValueError(f"trainer.initial_model: found no model at {path}, expected {hint}.")
    with vocabulary.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        words = [line.rstrip("\n") for line in lines]
    weights = stored_weights.read_weights(path)
    if len(weights) < 4 or len(weights[0]) != len(words):
        raise ValueError(
            f"trainer.initial_model: {path} is a SavedModel, but not one that this pipeline exported. Expected the "
            "folder of a pushed version."
        )
    return weights, words


def _architecture(shapes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """Derives the settings that must agree, by configuration key, from the shapes of a model's weights."""
    settings = stored_weights.architecture(shapes)
    return {f"model.{name}": value for name, value in settings.items() if name != "vocabulary_size"}
