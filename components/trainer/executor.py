"""Trains in a process of its own, since devices must be set before TensorFlow starts and its memory ends with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.base import Context
from components.child_process import run_in_child
from components.trainer.component import Trainer
from components.trainer.training_process import train_and_export


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Trainer.Parameters, context: Context
) -> dict[str, Any]:
    """Trains, exports, and returns the figures of the run."""
    return run_in_child(train_and_export, dict(inputs), dict(outputs), parameters, context)
