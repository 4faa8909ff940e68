"""Searches in a separate process, because devices must be set before TensorFlow starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.base import Context
from components.child_process import run_in_child
from components.tuner.component import Tuner
from components.tuner.search_process import search


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Tuner.Parameters, context: Context
) -> dict[str, Any]:
    """Searches for hyperparameters, and resumes a search that was killed.

    Args:
        inputs: `transformed_examples` (token ids) and `vocabulary`.
        outputs: `best_hyperparameters` receives `best_hyperparameters.txt`, `trials.json` and `logs/`.
        parameters: The space, the algorithm, the budget and the Trainer's default setting.
        context: Its workspace holds the state of the search.

    Returns:
        `trials`, `diverged` and `failed` (numbers of trials), `default_perplexity`, `best_perplexity`, `gain`, `best`
        (the values) and `ended_by`.

    Raises:
        ComponentError: If no trial was completed, the chief or its port cannot be reached, or the process died.
    """
    return run_in_child(search, dict(inputs), dict(outputs), parameters, context)
