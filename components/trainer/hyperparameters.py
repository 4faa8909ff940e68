"""Reads the best hyperparameters of a Tuner and replaces the Trainer's own parameters by them."""

from pathlib import Path
from typing import Any

import pydantic

from components.artifacts import trials
from components.base import ComponentError
from components.trainer.component import Trainer


def apply(folder: Path, parameters: Trainer.Parameters) -> tuple[Trainer.Parameters, dict[str, Any]]:
    """Replaces parameters by the best hyperparameters of the same names.

    Args:
        folder: A `HyperParameters` artifact; its file holds the JSON of Keras Tuner's `HyperParameters.get_config`.
        parameters: The Trainer's own parameters.

    Returns:
        The parameters to train with, and the tuned values by name.

    Raises:
        ComponentError: If the file is missing or damaged, or has a name that the Trainer does not have.
    """
    path = folder / trials.BEST_FILE
    try:
        best = trials.read_best(path)
        applied = Trainer.Parameters.model_validate(parameters.model_dump() | best)
    except (OSError, ValueError, pydantic.ValidationError) as error:
        raise ComponentError(
            f"{path} cannot be used ({type(error).__name__}: {error}). Run the Tuner again with --no-cache."
        ) from error
    return applied, {name: getattr(applied, name) for name in best}
