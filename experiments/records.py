"""Reads and writes `results.json` beside a table's rows: the figures of finished runs and of runs in training."""

import contextlib
import fcntl
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from models import files

FILE = "results.json"
FIELDS = {  # the fields of every run, and their types
    "name": str,
    "seed": int,
    "commit": str,
    "machine": str,
    "status": str,
    "hours": (int, float),
    "epochs": list,
    "valid_perplexity": (int, float, type(None)),
    "test_perplexity": (int, float, type(None)),
    "adaptive": dict,
}
OPTIONAL = {"overrides", "corpus"}  # mappings that a run may have
EPOCH_FIELDS = ("epoch", "train_perplexity", "valid_perplexity")


class RecordsError(Exception):
    """The results cannot be used or must not be written: the message names the file and says what to do."""


class Records:
    """The runs of one table: `{"runs": [...]}`, one run for each (name, seed).

    Every change reads the file, replaces one run and renames a new file into place, under a lock, so that rows trained
    at the same time keep each other's figures. A damaged file is never overwritten.

    Args:
        folder: The table's folder, which holds `results.json` once there is a run.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / FILE

    def runs(self) -> list[dict[str, Any]]:
        """Returns all runs in the file's order; an empty list if there is no file.

        Raises:
            RecordsError: If the file is damaged.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"), parse_constant=_refuse)
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise self._damaged(f"it is not JSON ({error})" if isinstance(error, ValueError) else str(error)) from error
        runs = content.get("runs") if isinstance(content, dict) else None
        if not isinstance(runs, list):
            raise self._damaged('it is not {"runs": [...]}')
        for place, run in enumerate(runs, 1):
            if not isinstance(run, dict):
                raise self._damaged(f"run {place} is {run!r}, expected a mapping")
            if problem := _problem(run):
                raise self._damaged(f"run {place} ({run.get('name', 'without a name')}): {problem}")
        keys = [(run["name"], run["seed"]) for run in runs]
        for name, seed in keys:
            if keys.count((name, seed)) > 1:
                raise self._damaged(f"it has {name} with seed {seed} twice")
        return runs

    def find(self, name: str, seed: int) -> dict[str, Any] | None:
        """Returns one run, or None.

        Args:
            name: The row's name.
            seed: The run's seed.

        Raises:
            RecordsError: If the file is damaged.
        """
        return next((run for run in self.runs() if (run["name"], run["seed"]) == (name, seed)), None)

    def check_corpus(self, corpus: dict[str, Any]) -> None:
        """Checks that the table's runs were measured on the same text.

        Args:
            corpus: `dataset` and the digests that identify its text, as in a run's `corpus`.

        Raises:
            RecordsError: If a run has the same dataset's name and another text, or the file is damaged.
        """
        for run in self.runs():
            known = run.get("corpus", corpus)
            if known != corpus and known.get("dataset") == corpus["dataset"]:
                raise RecordsError(
                    f"{self.path}: {run['name']}, seed {run['seed']}, was measured on another {known['dataset']}: "
                    f"found {corpus} in --data-dir, expected {known}. Use the same files, or another --table."
                )

    def save(self, run: dict[str, Any]) -> None:
        """Adds a run, or replaces the one of the same name and seed.

        Args:
            run: The run, with all `FIELDS`.

        Raises:
            RecordsError: If the file is damaged or cannot be written, or the run lacks a field or has a wrong one.
        """
        if problem := _problem(run):
            raise RecordsError(f"{self.path} cannot hold {run.get('name')}, seed {run.get('seed')}: {problem}.")
        run = {**{field: run[field] for field in FIELDS}, **run}  # the fields come first, in their order
        try:
            with self._locked():
                runs, key = self.runs(), (run["name"], run["seed"])
                runs = [run if (old["name"], old["seed"]) == key else old for old in runs]
                runs += [run] if run not in runs else []
                _write(self.path, {"runs": sorted(runs, key=lambda run: (run["name"], run["seed"]))})
        except OSError as error:
            raise RecordsError(f"{self.path} cannot be written: {error.strerror or error}.") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)  # which also releases the lock

    def _damaged(self, why: str) -> RecordsError:
        return RecordsError(
            f"{self.path} is damaged: {why}. Nothing was written to it. Restore it (git checkout {self.path}), or move "
            "it away to start a new one."
        )


def _problem(run: dict[str, Any]) -> str | None:
    """Returns what is wrong with a run, or None."""
    for field, kind in FIELDS.items():
        if field not in run or not isinstance(run[field], kind) or not _is_finite(run[field]):
            return f"{field}: found {run[field]!r}" if field in run else f"{field}: found nothing"
    for epoch in run["epochs"]:
        if not isinstance(epoch, dict) or not isinstance(epoch.get("epoch"), int) or not _has(epoch, EPOCH_FIELDS):
            return f"epochs: found {epoch!r}"
    for mode, figures in run["adaptive"].items():
        if not isinstance(figures, dict) or not _has(figures, ("valid", "test")):
            return f"adaptive: {mode}: found {figures!r}"
    for field in OPTIONAL & run.keys():
        if not isinstance(run[field], dict):
            return f"{field}: found {run[field]!r}"
    if not isinstance(run.get("corpus", {}).get("dataset", ""), str):
        return f"corpus: found {run['corpus']!r}"
    return None


def _has(figures: dict[str, Any], names: Iterable[str]) -> bool:
    """Whether a mapping has these figures; null stands for one that was not finite."""
    values = [figures.get(name, "") for name in names]
    return all(value is None or isinstance(value, int | float) and _is_finite(value) for value in values)


def _is_finite(value: Any) -> bool:
    """Whether a value is no number, or a finite one; a truth value is neither."""
    return not isinstance(value, bool) and not (isinstance(value, float) and not math.isfinite(value))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _write(path: Path, content: dict) -> None:
    """Writes JSON, each epoch on one line; the file appears complete or not at all."""
    text = json.dumps(content, indent=1, allow_nan=False)
    text = re.sub(r'\{\s+("epoch":[^{}]*)\}', lambda match: f"{{{' '.join(match[1].split())}}}", text)
    files.write_text(path, text + "\n")
