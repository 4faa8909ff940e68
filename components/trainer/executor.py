"""Trains in a separate process, because devices must be set before TensorFlow starts."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.base import ComponentError, Context
from components.child_process import run_in_child
from components.trainer.component import Trainer
from components.trainer.training_process import train_and_export


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Trainer.Parameters, context: Context
) -> dict[str, Any]:
    """Trains the model, alone or with the other workers, and exports it.

    Args:
        inputs: `transformed_examples` (token ids), `vocabulary` and, optionally, `hyperparameters` (a Tuner's best).
        outputs: `model` receives `Format-Serving/`, `model.weights.h5` and `model.json`; `model_run` receives
            `history.json` and `logs/`.
        parameters: The model, the loss and the training.
        context: Its workspace holds the checkpoints. Its `peers` are the other workers of multi_worker_mirrored.

    Returns:
        `valid_perplexity` and `train_perplexity` of the best epoch, `best_epoch`, `epochs`, the speed and sizes, the
        export's figures and, with hyperparameters, `tuned`.

    Raises:
        ComponentError: If the data are too few for the batch, the training diverged, the process died, or another
            worker is missing or failed.
    """
    if parameters.strategy == "mirrored":
        return run_in_child(train_and_export, dict(inputs), dict(outputs), parameters, context)
    if context.peers is None:
        raise ComponentError(
            "trainer.strategy multi_worker_mirrored: this run has no other workers. Start `python -m pipeline.run "
            "--local` on each worker with its own TF_CONFIG."
        )
    context.peers.start_training(inputs, parameters.meeting_seconds)
    figures = train_with_peers(inputs, outputs, parameters, context)
    context.peers.send_to_all(end=True)
    return figures


def train_with_peers(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Trainer.Parameters, context: Context
) -> dict[str, Any]:
    """Runs this worker's share of a training.

    Args:
        inputs: The Trainer's inputs.
        outputs: The Trainer's outputs for the chief, which alone writes them; empty for any other worker.
        parameters: The Trainer's parameters.
        context: The Trainer's context, with `peers`.

    Returns:
        The figures of the training.

    Raises:
        ComponentError: If the training failed, or another worker ended during it.
    """
    arguments = dict(inputs), dict(outputs), parameters, dataclasses.replace(context, peers=None)
    try:
        return run_in_child(train_and_export, *arguments, watch=context.peers)
    except RuntimeError as error:  # TensorFlow may notice a lost worker first and raise its own error
        if problem := context.peers.problem():
            raise ComponentError(problem) from error
        raise
