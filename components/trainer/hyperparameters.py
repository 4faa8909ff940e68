"""Reads what a Tuner found and sets it over the Trainer's own parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from components.artifacts import trials
from components.base import ComponentError
from components.trainer.component import Trainer


def apply(folder: Path, parameters: Trainer.Parameters) -> tuple[Trainer.Parameters, dict[str, Any]]:
    """The parameters with the best hyperparameters in place of their own.

    Args:
        folder: A `HyperParameters` artifact; its file holds the JSON of Keras Tuner's `HyperParameters.get_config`.
        parameters: The Trainer's own.

    Returns:
        (the parameters to train with, the tuned ones by name).

    Raises:
        ComponentError: If the file is missing or damaged, or names what the Trainer does not have.
    """
    path = folder / trials.BEST_FILE
    try:
        found = trials.read_best(path)
        applied = Trainer.Parameters.model_validate(parameters.model_dump() | found)
    except (OSError, ValueError, pydantic.ValidationError) as error:
        raise ComponentError(
            f"{path} cannot be used ({type(error).__name__}: {error}). Run the Tuner again with --no-cache."
        ) from error
    return applied, {name: getattr(applied, name) for name in found}


def in_words(values: Mapping[str, Any]) -> str:
    """`learning_rate 1.234, units 200`: four significant digits."""
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in values.items())  # fmt: skip
