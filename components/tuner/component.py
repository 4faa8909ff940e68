"""Tuner: searches for hyperparameters with which a short training reaches a lower valid perplexity."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic

from components import base
from components.trainer import external_files
from components.trainer.component import Trainer
from components.tuner.search_space import Hyperparameter, default_space, in_words
from models.parameters import Parameters, Whole, setting


class SearchSettings(Parameters):
    """The algorithm and the budget of the search."""

    algorithm: Literal["random", "bayesian", "hyperband", "grid"] = setting(
        "bayesian",
        "random, bayesian (a Gaussian process), hyperband (many short trials, the best of which are continued) or grid "
        "(every combination; a range without step gives ten values).",
    )
    max_trials: Whole = setting(
        12, "Trials in all; the first is the setting of this file, which the others are compared with.", ge=1
    )
    max_minutes: float | None = setting(
        None, "Time after which no further trial begins, in minutes.", null="no such bound", gt=0
    )


class TunerSettings(SearchSettings):
    """Whether there is a search, how long a trial is, and which hyperparameters vary."""

    enabled: bool = setting(
        False,
        "Whether hyperparameters are searched for before the Trainer, which then uses the best ones; --tune sets it.",
    )
    epochs: Whole = setting(3, "Epochs of a trial (of the longest ones with hyperband).", ge=1)
    space: list[Hyperparameter] | None = setting(
        None,
        "What is searched: a list of {name, kind: float or int, min, max, step, scale: linear or log} and {name, kind: "
        "choice, values}; names are keys of model, loss and trainer, such as gamma, temperature, dropout, "
        "learning_rate, decay, units, num_layers, clip_norm.",
        null=f"which is {in_words(default_space(augmented=True))}",
    )


class Tuner(base.Component):
    """Searches with Keras Tuner; each trial is a short training, done as the Trainer does it.

    The first trial always has the Trainer's own setting, so that the best trial is compared with what it would replace.

    Outputs:
        best_hyperparameters: `best_hyperparameters.txt` (JSON of Keras Tuner's `HyperParameters.get_config`, as TFX
            writes it), `trials.json` (every trial, the default, the best, the gain), `logs/` (TensorBoard's HParams).
    """

    INPUTS = {"transformed_examples": "Examples", "vocabulary": "Vocabulary"}
    OUTPUTS = {"best_hyperparameters": "HyperParameters"}
    RESUMABLE = True
    IN_CHILD = True
    BUDGET = ("max_trials", "max_minutes")

    class Parameters(SearchSettings):
        """The search's settings.

        Attributes:
            trainer: The default setting; its `epochs` are those of a trial.
            space: The hyperparameters that vary.
        """

        trainer: Trainer.Parameters
        space: list[Hyperparameter] = pydantic.Field(min_length=1)

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """Returns digests of the word vectors and of the model that every trial starts from, if they are set.

        Args:
            inputs: Not used.

        Raises:
            ComponentError: If one of them is missing or cannot be read.
        """
        del inputs
        trainer = self.parameters.trainer
        return external_files.fingerprint(trainer.pretrained_embeddings, trainer.initial_model)
