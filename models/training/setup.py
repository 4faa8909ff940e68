"""Makes a model from a recipe, in the same way for the Trainer and for every trial of the Tuner."""

import inspect
from typing import Any

import keras
import tensorflow as tf

from models.language_model import LanguageModel
from models.parameters import extra
from models.settings import Recipe
from models.text.tokenizer import Tokenizer
from models.text.word_vectors import set_word_vectors
from models.training.devices import choose_precision
from models.training.resumable import compile_model
from models.training.warm_start import warm_start


def model_config(recipe: Recipe, vocabulary_size: int) -> dict[str, Any]:
    """Returns the arguments of `LanguageModel` for a recipe on this machine.

    Args:
        recipe: The recipe.
        vocabulary_size: Number of words V.

    Returns:
        The arguments by name; `precision` is the one chosen for this machine.
    """
    fields = {n: f for n, f in Recipe.model_fields.items() if n in inspect.signature(LanguageModel).parameters}
    if not recipe.augmented:  # the model raises an error for arguments that would have no effect
        fields = {n: f for n, f in fields.items() if extra(f).get("needs") != ("augmented", True)}
    config = {name: getattr(recipe, name) for name in fields}
    return config | {"vocabulary_size": vocabulary_size, "precision": choose_precision(recipe.precision)}


def make_model(
    recipe: Recipe, tokenizer: Tokenizer, strategy: tf.distribute.Strategy
) -> tuple[LanguageModel, dict[str, Any]]:
    """Makes the compiled model that training begins with, the same at every call.

    Args:
        recipe: The recipe. The weights start from its `initial_model` and `pretrained_embeddings`, else at random.
        tokenizer: The tokenizer, whose vocabulary the model gets.
        strategy: The strategy that the model will be trained in.

    Returns:
        (the model, figures about the weights that it starts from: those of `warm_start` and `set_word_vectors`, empty
        if it starts at random).

    Raises:
        ValueError: If the initial weights do not match the model.
    """
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        model = LanguageModel(**model_config(recipe, tokenizer.vocabulary_size))
    compile_model(model, recipe)
    if recipe.initial_model is None and recipe.pretrained_embeddings is None:
        return model, {}
    words = tokenizer.words_of(tf.range(tokenizer.vocabulary_size)).numpy()
    words = [word.decode("utf-8", "surrogateescape") for word in words]
    figures = {}
    if recipe.initial_model is not None:
        figures |= warm_start(model, words, recipe.initial_model)
    if recipe.pretrained_embeddings is not None:
        figures |= set_word_vectors(model, words, recipe.pretrained_embeddings)
    return model, figures
