"""HyperParameters: `trials.json`, the search, and `best_hyperparameters.txt`, the best trial's values."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from components.artifacts.document import Document
from models import files

BEST_FILE = "best_hyperparameters.txt"
STATUSES = ("completed", "diverged", "failed")  # best first

Value = bool | int | float | str


class Trial(TypedDict):
    """A trial of a search; `valid_perplexity` has one value for each epoch that was completed."""

    trial: str
    tuner: str
    status: str
    reason: str | None
    values: NotRequired[dict[str, Value]]
    epochs: NotRequired[int]
    valid_perplexity: list[float]
    seconds: float


class ShortTrial(TypedDict):
    """A trial's values and its lowest valid perplexity."""

    trial: str
    valid_perplexity: float | None
    values: dict[str, Value]


class Trials(TypedDict):
    """A search that has ended; `default` is the trial with the Trainer's own setting, or None if that trial failed."""

    objective: str
    algorithm: str
    epochs: int
    space: list[dict[str, Any]]
    unigram_perplexity: float
    default: ShortTrial | None
    best: ShortTrial
    gain: float | None
    counts: dict[str, int]
    ended_by: str
    seconds: float
    trials: list[Trial]


TRIALS = Document("trials.json", Trials, "Tuner")
RECORD = Document("record.json", Trial, "Tuner")  # one trial's record, in the search's folder


def lowest_perplexity(trial: Trial) -> float | None:
    """Returns the lowest valid perplexity of a trial, or None if no epoch was completed.

    Args:
        trial: The trial's record.
    """
    return min(trial["valid_perplexity"], default=None)


def rank(trial: Trial) -> tuple[int, float]:
    """Returns the key by which trials are sorted, best first.

    Args:
        trial: The trial's record.
    """
    return STATUSES.index(trial["status"]), lowest_perplexity(trial) or math.inf


def write_best(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes the best trial's hyperparameters.

    Args:
        folder: The artifact's folder.
        config: What Keras Tuner's `HyperParameters.get_config` returned.
    """
    files.write_text(folder / BEST_FILE, json.dumps(config))


def read_best(path: Path) -> dict[str, Value]:
    """Reads the values of the hyperparameters by name.

    Args:
        path: A file that `write_best` or Keras Tuner wrote.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file is damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["values"]
        # Values such as "tuner/epochs" belong to the search and are not hyperparameters.
        return {name: value for name, value in values.items() if not name.startswith("tuner/")}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
