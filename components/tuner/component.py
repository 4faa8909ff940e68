"""Tuner: searches for hyperparameters with which a short training reaches a lower valid perplexity."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic

from components import base
from components.trainer import external_files
from components.trainer.component import Trainer
from components.tuner.search_space import Hyperparameter


class Tuner(base.Component):
    """Searches with Keras Tuner; each trial is a training as the Trainer does it, only shorter.

    The first trial is always the Trainer's own setting, so that the best is compared with what it would replace.

    Outputs:
        best_hyperparameters: `best_hyperparameters.txt` (JSON of Keras Tuner's `HyperParameters.get_config`, as TFX
            writes it), `trials.json` (every trial, the default, the best, the gain), `logs/` (TensorBoard's HParams).
    """

    INPUTS = {"transformed_examples": "Examples", "vocabulary": "Vocabulary"}
    OUTPUTS = {"best_hyperparameters": "HyperParameters"}
    RESUMABLE = True
    BUDGET = ("max_trials", "max_minutes")

    class Parameters(base.Parameters):
        """The configuration's section `tuner`, and the Trainer's parameters.

        Attributes:
            trainer: The default setting; its `epochs` are those of a trial.
            algorithm: Keras Tuner's oracle.
            max_trials: Trials in all, the default's among them.
            max_minutes: Minutes after which no further trial begins; None: no such bound.
            space: What varies.
        """

        trainer: Trainer.Parameters
        algorithm: Literal["random", "bayesian", "hyperband", "grid"] = "bayesian"
        max_trials: int = pydantic.Field(12, ge=1)
        max_minutes: float | None = pydantic.Field(None, gt=0)
        space: list[Hyperparameter] = pydantic.Field(min_length=1)

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """Digests of the word vectors and of the model that every trial starts from.

        Raises:
            ComponentError: If one of them is missing or cannot be read.
        """
        del inputs
        trainer = self.parameters.trainer
        return external_files.fingerprint(trainer.pretrained_embeddings, trainer.initial_model)
