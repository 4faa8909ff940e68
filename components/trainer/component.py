"""Trainer: trains the language model on the transformed examples and exports it for serving."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import base
from components.trainer import external_files
from models.settings import Recipe


class Trainer(base.Component):
    """Trains a `LanguageModel` with MirroredStrategy and exports the epoch with the lowest valid perplexity.

    With the input `hyperparameters`, a Tuner's best values replace this component's parameters of the same names.

    Outputs:
        model: `Format-Serving/` (the SavedModel), `model.weights.h5` and `model.json` (`get_config` and recipe).
        model_run: `history.json` (one record for each epoch), `logs/` (TensorBoard).
    """

    INPUTS = {"transformed_examples": "Examples", "vocabulary": "Vocabulary", "hyperparameters?": "HyperParameters"}
    OUTPUTS = {"model": "Model", "model_run": "ModelRun"}
    RESUMABLE = True
    IN_CHILD = True

    class Parameters(Recipe):
        """The configuration's sections `model`, `loss` and `trainer`."""

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """Returns digests of the word vectors and of the model that training starts from, if they are set.

        Args:
            inputs: Not used.

        Raises:
            ComponentError: If one of them is missing or cannot be read.
        """
        del inputs
        return external_files.fingerprint(self.parameters.pretrained_embeddings, self.parameters.initial_model)
