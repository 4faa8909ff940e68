"""Trains in a process of its own, since devices must be set before TensorFlow starts and its memory ends with it."""

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
    """Trains, exports, and returns the figures of the run."""
    if parameters.strategy == "mirrored":
        return run_in_child(train_and_export, dict(inputs), dict(outputs), parameters, context)
    if context.peers is None:
        raise ComponentError(
            "trainer.strategy multi_worker_mirrored: this run knows no other workers. Start `python -m pipeline.run "
            "--local` in each of them with its own TF_CONFIG."
        )
    context.peers.start_training(inputs, parameters.meeting_seconds)
    figures = train_with_peers(inputs, outputs, parameters, context)
    context.peers.tell(end=True)
    return figures


def train_with_peers(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Trainer.Parameters, context: Context
) -> dict[str, Any]:
    """This worker's share of a training; the chief's has outputs, which it alone writes.

    Raises:
        ComponentError: If the training failed, or another worker ended in the middle.
    """
    arguments = dict(inputs), dict(outputs), parameters, dataclasses.replace(context, peers=None)
    try:
        return run_in_child(train_and_export, *arguments, watch=context.peers)
    except RuntimeError as error:  # TensorFlow may notice first that a peer is lost, in words of its own
        if problem := context.peers.problem():
            raise ComponentError(problem) from error
        raise
