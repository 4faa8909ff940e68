"""From parameters to a recipe and a model: the one way, for the Trainer and for every trial of the Tuner."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from models.language_model import LanguageModel
from models.text.tokenizer import Tokenizer
from models.text.word_vectors import set_word_vectors
from models.training.devices import choose_precision
from models.training.recipe import OPTIMIZER_OPTIONS, Recipe
from models.training.resumable import compile_model
from models.training.schedules import Schedule
from models.training.warm_start import warm_start

MODEL = ("units num_layers dropout tie_embeddings output_bias init_scale augmented target seed").split()
AUGMENTED = "temperature gamma gradient_through_target".split()  # without effect where the loss is not augmented
RECIPE = (
    "batch_size sequence_length epochs learning_rate decay decay_start_epoch clip_norm patience checkpoint_seconds "
    "target_interval target_decay freeze_embedding_epochs optimizer ema"
).split()
SCHEDULED = ("temperature", "gamma")
OPTION_NAMES = sorted({name for names in OPTIMIZER_OPTIONS.values() for name in names})


def make_recipe(parameters: Mapping[str, Any]) -> Recipe:
    """The recipe that the Trainer's parameters say; ramps end at the constant values.

    Raises:
        ValueError: If a ramp cannot be.
    """
    ramps = {name: parameters[f"{name}_schedule"] for name in SCHEDULED}
    schedules = {name: Schedule(end=parameters[name], **ramp) for name, ramp in ramps.items() if ramp}
    options = {name: parameters[name] for name in OPTION_NAMES if parameters[name] is not None}
    return Recipe(**{name: parameters[name] for name in RECIPE}, **schedules, optimizer_options=options)


def model_config(parameters: Mapping[str, Any], vocabulary_size: int) -> dict[str, Any]:
    """The arguments of `LanguageModel` that the Trainer's parameters say on this machine."""
    precision = choose_precision(parameters["precision"])
    names = MODEL + AUGMENTED if parameters["augmented"] else MODEL
    config = {name: parameters[name] for name in names}
    return config | {"vocabulary_size": vocabulary_size, "precision": precision}


def make_model(
    parameters: Mapping[str, Any], tokenizer: Tokenizer, strategy: tf.distribute.Strategy
) -> tuple[LanguageModel, dict[str, Any]]:
    """The compiled model as training begins, the same at every call.

    Args:
        parameters: The Trainer's; `initial_model` and `pretrained_embeddings` are what it starts from, else chance.
        tokenizer: Its vocabulary is the model's.
        strategy: Where it will be trained.

    Returns:
        (the model, figures about what it starts from).

    Raises:
        ValueError: If the initial weights do not match the model.
    """
    keras.utils.set_random_seed(parameters["seed"])
    with strategy.scope():
        model = LanguageModel(**model_config(parameters, tokenizer.vocabulary_size))
    compile_model(model, make_recipe(parameters))
    initial_model, vectors = parameters["initial_model"], parameters["pretrained_embeddings"]
    if initial_model is None and vectors is None:
        return model, {}
    words = tokenizer.words_of(tf.range(tokenizer.vocabulary_size)).numpy()
    words = [word.decode("utf-8", "surrogateescape") for word in words]
    figures = {}
    if initial_model is not None:
        figures |= warm_start(model, words, initial_model)
    if vectors is not None:
        figures |= set_word_vectors(model, words, vectors)
    return model, figures
