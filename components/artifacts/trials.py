"""HyperParameters: `trials.json`, the search, and `best_hyperparameters.txt`, the best trial's, for Keras Tuner."""

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
    """A trial; `valid_perplexity` by epoch, as far as it came."""

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
    """A search that has ended; `default` is the trial with the Trainer's own setting, where it did not fail."""

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
RECORD = Document("record.json", Trial, "Tuner")  # of one trial, in the search's folder


def lowest_perplexity(trial: Trial) -> float | None:
    """The lowest valid perplexity of a trial, or None where no epoch was completed."""
    return min(trial["valid_perplexity"], default=None)


def rank(trial: Trial) -> tuple[int, float]:
    """What trials are sorted by, best first."""
    return STATUSES.index(trial["status"]), lowest_perplexity(trial) or math.inf


def write_best(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes the JSON of Keras Tuner's `HyperParameters.get_config`."""
    files.write_text(folder / BEST_FILE, json.dumps(config))


def read_best(path: Path) -> dict[str, Value]:
    """The hyperparameters' values by name, from a file that `write_best` or Keras Tuner wrote.

    Raises:
        OSError, ValueError: If the file is missing or damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["values"]
        # "tuner/epochs" and the like are how a search remembers what a trial was.
        return {name: value for name, value in values.items() if not name.startswith("tuner/")}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
