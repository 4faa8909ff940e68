"""Trainer: trains the language model on the transformed examples and exports it for serving."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import base
from components.trainer import external_files


class Trainer(base.Component):
    """Trains a `LanguageModel` under MirroredStrategy; the epoch with the lowest valid perplexity ships.

    With `hyperparameters` a Tuner's best ones stand in place of this component's own parameters of the same names.

    Outputs:
        model: `Format-Serving/` (the SavedModel), `model.weights.h5` and `model.json` (`get_config` and recipe).
        model_run: `history.json` (a record an epoch), `logs/` (TensorBoard).
    """

    INPUTS = {"transformed_examples": "Examples", "vocabulary": "Vocabulary", "hyperparameters?": "HyperParameters"}
    OUTPUTS = {"model": "Model", "model_run": "ModelRun"}
    RESUMABLE = True

    class Parameters(base.Parameters):
        """The configuration's sections `model`, `loss` and `trainer`, whose bounds it has checked."""

        units: int
        num_layers: int = 2
        dropout: float
        tie_embeddings: bool = True
        output_bias: bool = False
        init_scale: float = 0.1
        augmented: bool = True
        temperature: float = 20.0
        gamma: float = 0.65
        gradient_through_target: bool = False
        target: str = "current"
        target_interval: int = 500
        target_decay: float = 0.999
        temperature_schedule: dict[str, Any] | None = None
        gamma_schedule: dict[str, Any] | None = None
        pretrained_embeddings: str | None = None
        initial_model: str | None = None
        freeze_embedding_epochs: int = 0
        batch_size: int = 20
        sequence_length: int = 35
        epochs: int
        learning_rate: float = 1.0
        decay: float = 0.9
        decay_start_epoch: int = 5
        clip_norm: float = 5.0
        optimizer: str = "sgd"
        momentum: float | None = None
        nesterov: bool | None = None
        beta_1: float | None = None
        beta_2: float | None = None
        rho: float | None = None
        epsilon: float | None = None
        weight_decay: float | None = None
        ema: float | None = None
        patience: int | None = None
        precision: str = "auto"
        replicas: int | None = None
        seed: int = 1
        checkpoint_seconds: float = 60.0
        export_dtype: str = "float32"

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """Digests of the word vectors and of the model that training starts from.

        Raises:
            ComponentError: If one of them is missing or cannot be read.
        """
        del inputs
        return external_files.fingerprint(self.parameters.pretrained_embeddings, self.parameters.initial_model)
