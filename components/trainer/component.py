"""Trainer: trains the language model on the transformed examples and exports it for serving."""

from components import base


class Trainer(base.Component):
    """Trains a `LanguageModel` under MirroredStrategy; the epoch with the lowest valid perplexity ships.

    Outputs:
        model: `Format-Serving/` (the SavedModel), `model.weights.h5` and `model.json` (`get_config` and recipe).
        model_run: `history.json` (a record an epoch), `logs/` (TensorBoard).
    """

    INPUTS = {"transformed_examples": "Examples", "vocabulary": "Vocabulary"}
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
        batch_size: int = 20
        sequence_length: int = 35
        epochs: int
        learning_rate: float = 1.0
        decay: float = 0.9
        decay_start_epoch: int = 5
        clip_norm: float = 5.0
        patience: int | None = None
        precision: str = "auto"
        replicas: int | None = None
        seed: int = 1
        checkpoint_seconds: float = 60.0
