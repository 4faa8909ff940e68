"""Keras Tuner's oracles, which choose each trial's values, with the additions that every search here needs."""

import itertools
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import threadpoolctl

from components.tuner.component import Tuner
from components.tuner.search_space import Hyperparameter
from models import files

OBJECTIVE = keras_tuner.Objective("val_perplexity", direction="min")
IDENTITY = "tuner/search"  # a fixed hyperparameter that says which search a trial belongs to
EPOCHS, PAST_TRIAL = "tuner/epochs", "tuner/trial_id"  # Hyperband's, in a trial's values
FACTOR = 3  # Hyperband's: how many times fewer trials survive each round


class _Search:
    """A mixin for oracles: the default setting first, a budget in minutes, and state files that are always complete."""

    first: Mapping[str, Any]
    max_seconds: float | None = None
    _spent_before = 0.0

    def __init__(self, **options):
        self._started = time.monotonic()
        super().__init__(**options)

    @property
    def spent_seconds(self) -> float:
        """Duration of the search in seconds, including the time before it was killed and resumed."""
        return self._spent_before + time.monotonic() - self._started

    @property
    def out_of_time(self) -> bool:
        return self.max_seconds is not None and self.spent_seconds >= self.max_seconds

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if self.out_of_time:
            return {"status": "STOPPED", "values": None}
        if not self.trials:
            return {"status": "RUNNING", "values": dict(self.first)}
        return super().populate_space(trial_id)

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {"spent_seconds": self.spent_seconds}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._spent_before = state["spent_seconds"]

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str):
        trial = super().create_trial(tuner_id)
        if trial.status == "STOPPED" and self.ongoing_trials:
            # No worker leaves before the last trial has ended: if its worker dies, another must resume it.
            trial.status = "IDLE"
            self.tuner_ids.add(tuner_id)
        return trial

    @keras_tuner.synchronized
    def release(self, is_dead: Callable[[str], bool]) -> dict[str, str | None]:
        """Releases workers that have died, so that no worker waits for them; others resume their trials.

        Args:
            is_dead: Called with a worker's id; returns whether that worker has died.

        Returns:
            The id of each released worker and that of its trial, or None if it had no trial.
        """
        released = {}
        for worker in [worker for worker in self.tuner_ids if is_dead(worker)]:
            self.tuner_ids.remove(worker)
            trial = self.ongoing_trials.pop(worker, None)
            released[worker] = trial and trial.trial_id
            if trial:
                self._retry_queue.append(trial.trial_id)
        return released

    def save(self) -> None:
        _write_state(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial) -> None:
        _write_state(os.path.join(self._get_trial_dir(trial.trial_id), "trial.json"), trial.get_state())

    def reload(self) -> None:
        super().reload()
        # A kill may come between writing a trial and writing the oracle's state: forget such a trial.
        self.trials = {name: trial for name, trial in self.trials.items() if name in self.start_order}


class RandomSearch(_Search, keras_tuner.oracles.RandomSearchOracle):
    """Draws values evenly on each hyperparameter's scale."""


class BayesianOptimization(_Search, keras_tuner.oracles.BayesianOptimizationOracle):
    """Chooses values for which a Gaussian process over the trials so far expects the largest improvement."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Chooses the values of a trial on one thread.

        Args:
            trial_id: The trial's id.
        """
        # The matrices are tiny, so threads would only wait for each other; on a busy machine five times as long.
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            return super().populate_space(trial_id)


class Hyperband(_Search, keras_tuner.oracles.HyperbandOracle):
    """Trains many trials for a few epochs and continues the best of them."""


class GridSearch(_Search, keras_tuner.oracles.GridSearchOracle):
    """Tries every combination in turn.

    Keras Tuner's own oracle keeps its position only in memory, so it cannot resume. The position of this one is the
    number of trials.
    """

    grid: list[dict[str, Any]]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the next combination of the grid as the values of a trial.

        Args:
            trial_id: The trial's id.
        """
        if self.trials and len(self.trials) > len(self.grid):
            return {"status": "STOPPED", "values": None}
        if self.trials and not self.out_of_time:
            return {"status": "RUNNING", "values": self.grid[len(self.trials) - 1]}
        return super().populate_space(trial_id)


def make_oracle(parameters: Tuner.Parameters, identity: str) -> _Search:
    """Creates the oracle of a search.

    Args:
        parameters: The Tuner's parameters.
        identity: A text that distinguishes this search from every other search.
    """
    space = keras_tuner.HyperParameters()
    defaults = {h.name: getattr(parameters.trainer, h.name) for h in parameters.space}
    for hyperparameter in parameters.space:
        _add(space, hyperparameter, defaults[hyperparameter.name])
    space.Fixed(IDENTITY, identity)
    options = {
        "objective": OBJECTIVE,
        "hyperparameters": space,
        "seed": parameters.trainer.seed + 1,  # Keras Tuner takes 0 for none
        "allow_new_entries": False,
        "max_consecutive_failed_trials": parameters.max_trials + 1,  # diverged trials are counted, not fatal
    }
    first, trials = defaults | {IDENTITY: identity}, parameters.max_trials
    if parameters.algorithm == "hyperband":
        # The number of iterations is not the limit: `max_trials` ends the search.
        oracle = Hyperband(max_epochs=parameters.trainer.epochs, factor=FACTOR, hyperband_iterations=trials, **options)
        oracle.max_trials = trials
        first |= {EPOCHS: parameters.trainer.epochs, "tuner/initial_epoch": 0, "tuner/bracket": 0, "tuner/round": 0}
    elif parameters.algorithm == "bayesian":
        # A third of the trials is random. Keras Tuner's default, three for each dimension, is too many here.
        oracle = BayesianOptimization(max_trials=trials, num_initial_points=max(3, trials // 3), **options)
    elif parameters.algorithm == "grid":
        oracle = GridSearch(max_trials=trials, **options)
        oracle.grid = _grid(parameters, space, first)
    else:
        oracle = RandomSearch(max_trials=trials, **options)
    oracle.first = first
    oracle.max_seconds = None if parameters.max_minutes is None else 60 * parameters.max_minutes
    oracle.verbose = 0
    return oracle


def _add(space: keras_tuner.HyperParameters, hyperparameter: Hyperparameter, default: Any) -> None:
    if hyperparameter.kind == "choice":
        values = _typed_values(hyperparameter)
        # The default setting is a trial, too, and Keras Tuner needs its value among the choices.
        space.Choice(hyperparameter.name, values + [default] * (default not in values), default=default)
        return
    add, number = (space.Int, int) if hyperparameter.kind == "int" else (space.Float, float)
    step = None if hyperparameter.step is None else number(hyperparameter.step)
    add(
        hyperparameter.name,
        number(hyperparameter.min),
        number(hyperparameter.max),
        step=step,
        sampling=hyperparameter.scale,
        default=number(default),  # the first trial uses the default without rounding
    )


def _typed_values(hyperparameter: Hyperparameter) -> list:
    return [hyperparameter.type(value) for value in hyperparameter.values]


def _grid(parameters: Tuner.Parameters, space: keras_tuner.HyperParameters, first: Mapping[str, Any]) -> list[dict]:
    """Returns at most as many combinations as trials, without the default setting, which is the first trial."""
    by_name, axes = {hyperparameter.name: hyperparameter for hyperparameter in space.space}, []
    for given in parameters.space:  # a range without steps gives ten values
        choice = given.kind == "choice"
        axes.append(_typed_values(given) if choice else sorted(set(by_name[given.name].values)))
    names = [given.name for given in parameters.space]
    combinations = (dict(first) | dict(zip(names, values, strict=True)) for values in itertools.product(*axes))
    return list(itertools.islice((values for values in combinations if values != first), parameters.max_trials))


def _write_state(path: str, state: Any) -> None:
    files.write_text(Path(path), json.dumps(state))
