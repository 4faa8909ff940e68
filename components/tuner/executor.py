"""Searches in a process of its own, since devices must be set before TensorFlow starts and its memory ends with it."""

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
    """Searches, going on with a search that was killed, and returns its figures."""
    return run_in_child(search, dict(inputs), dict(outputs), parameters, context)
