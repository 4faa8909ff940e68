"""Reads and writes `results.json` beside a table's rows: the figures of finished runs and of runs in training."""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
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
            self._check(run, place)
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
            RecordsError: If the file is damaged or cannot be written, or the run has a figure that JSON cannot hold.
        """
        self._check(run, 0)
        run = {**{field: run[field] for field in FIELDS}, **run}  # the fields come first, in their order
        try:
            with self._locked():
                runs, key = self.runs(), (run["name"], run["seed"])
                runs = [run if (old["name"], old["seed"]) == key else old for old in runs]
                runs += [run] if run not in runs else []
                _write(self.path, {"runs": sorted(runs, key=lambda run: (run["name"], run["seed"]))})
        except OSError as error:
            raise RecordsError(f"{self.path} cannot be written: {error.strerror or error}.") from error
        except ValueError as error:
            raise RecordsError(f"{self.path} cannot hold {run['name']}, seed {run['seed']}: {error}.") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)  # which also releases the lock

    def _check(self, run: Any, place: int) -> None:
        if not isinstance(run, dict):
            raise self._damaged(f"run {place} is {run!r}, expected a mapping")
        for field, kind in FIELDS.items():
            if field not in run or not isinstance(run[field], kind):
                found = repr(run[field]) if field in run else "nothing"
                raise self._damaged(f"run {place} ({run.get('name', 'without a name')}): {field}: found {found}")
        for epoch in run["epochs"]:
            if not isinstance(epoch, dict) or not all(_is_number(epoch.get(field)) for field in EPOCH_FIELDS):
                raise self._damaged(f"run {place} ({run['name']}): epochs: found {epoch!r}")
        for mode, figures in run["adaptive"].items():
            if not isinstance(figures, dict) or not all(_is_number(figures.get(split)) for split in ("valid", "test")):
                raise self._damaged(f"run {place} ({run['name']}): adaptive: {mode}: found {figures!r}")

    def _damaged(self, why: str) -> RecordsError:
        return RecordsError(
            f"{self.path} is damaged: {why}. Nothing was written to it. Restore it (git checkout {self.path}), or move "
            "it away to start a new one."
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _write(path: Path, content: dict) -> None:
    """Writes JSON, each epoch on one line; the file appears complete or not at all."""
    text = json.dumps(content, indent=1, allow_nan=False)
    text = re.sub(r'\{\s+("epoch":[^{}]*)\}', lambda match: f"{{{' '.join(match[1].split())}}}", text)
    files.write_text(path, text + "\n")
