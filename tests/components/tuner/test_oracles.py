"""Keras Tuner's oracles as this project uses them, run without training: a formula replaces the perplexity."""

import itertools
import time

import pytest
from keras_tuner.engine import base_tuner

from components.tuner import oracles
from tests.components.tuner.search_process import DEFAULT, parameters

SPACE = [
    {"name": "learning_rate", "kind": "float", "min": 0.1, "max": 10.0, "scale": "log"},
    {"name": "units", "kind": "int", "min": 4, "max": 12, "step": 4},
    {"name": "tie_embeddings", "kind": "choice", "values": [True, False]},
]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ALGORITHMS = ["random", "bayesian", "hyperband", "grid"]


def score(values):
    """A valid perplexity with its minimum at a learning rate of 2 and 12 units."""
    return 50 + (values.get("learning_rate", 2) - 2) ** 2 + 12 - values.get("units", 12)


def make(folder, **changes):
    oracle = oracles.make_oracle(parameters(**{"space": SPACE, "max_trials": 6} | changes), "identity")
    base_tuner.BaseTuner(oracle, directory=str(folder), project_name="search")  # gives the oracle its folder
    return oracle


def run(oracle, trials=100, fails=()):
    """Runs at most `trials` trials; returns the values of each."""
    tried = []
    for _ in range(trials):
        trial = oracle.create_trial("tuner0")
        if trial.status == "STOPPED":
            break
        tried.append(trial.hyperparameters.values)
        trial.status = "FAILED" if len(oracle.trials) - 1 in fails else "COMPLETED"
        if trial.status == "COMPLETED":
            oracle.update_trial(trial.trial_id, {"val_perplexity": score(tried[-1])}, step=1)
        oracle.end_trial(trial)
    return tried


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_default_comes_first_and_the_trials_are_bounded(tmp_path, algorithm):
    tried = run(make(tmp_path, algorithm=algorithm))
    expected = {"learning_rate": 0.3, "units": 8, "tie_embeddings": True}
    assert {name: tried[0][name] for name in expected} == expected
    assert len(tried) == 6
    for values in tried[1:]:
        assert 0.1 <= values["learning_rate"] <= 10 and values["units"] in (4, 8, 12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_search_that_was_killed_resumes_where_it_was(tmp_path, algorithm):
    whole = run(make(tmp_path / "whole", algorithm=algorithm, max_trials=6))
    killed = make(tmp_path / "killed", algorithm=algorithm, max_trials=6)
    tried = run(killed, trials=3)
    killed.create_trial("tuner0")  # this trial never ends
    resumed = make(tmp_path / "killed", algorithm=algorithm, max_trials=6)
    resumed.reload()
    tried += run(resumed)
    assert len(tried) == 6 and len(resumed.trials) == 6
    assert tried[:4] == whole[:4]
    if algorithm != "bayesian":  # Keras Tuner does not save its random state
        assert tried == whole


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_worker_takes_the_last_trial_of_one_that_dies(tmp_path, algorithm):
    oracle = make(tmp_path, algorithm=algorithm, max_trials=2)
    first, second = (oracle.create_trial(name).trial_id for name in ("worker1", "worker2"))
    survivor = oracle.trials[second]
    survivor.status = "COMPLETED"
    oracle.update_trial(second, {"val_perplexity": 50.0})
    oracle.end_trial(survivor)
    assert oracle.create_trial("worker2").status == "IDLE"  # another worker's trial may have to be resumed
    assert oracle.release(lambda worker: worker == "worker1") == {"worker1": first}
    resumed = oracle.create_trial("worker2")
    assert (resumed.trial_id, resumed.status) == (first, "RUNNING")
    resumed.status = "FAILED"
    oracle.end_trial(resumed)
    assert oracle.create_trial("worker2").status == "STOPPED"
    assert not oracle.tuner_ids and not oracle.ongoing_trials  # what Keras Tuner's chief waits for


def test_a_trial_whose_file_alone_was_written_is_forgotten(tmp_path):
    oracle = make(tmp_path)
    run(oracle, trials=1)
    oracle.save = lambda: None  # killed between the two files
    oracle.create_trial("tuner0")
    resumed = make(tmp_path)
    resumed.reload()
    assert list(resumed.trials) == ["0"]


def test_the_grid_tries_every_combination_once_and_ends(tmp_path):
    space = [{"name": "units", "kind": "choice", "values": [4, 12]}, SPACE[2],
             {"name": "gamma", "kind": "float", "min": 0.5, "max": 1.0, "step": 0.25}]  # fmt: skip
    tried = run(make(tmp_path, algorithm="grid", space=space, max_trials=50))
    combinations = {(v["units"], v["tie_embeddings"], v["gamma"]) for v in tried[1:]}
    assert combinations == set(itertools.product((4, 12), (True, False), (0.5, 0.75, 1.0)))
    assert len(tried) == 13  # and the default, which is not on the grid


def test_bayesian_optimization_learns_from_its_trials(tmp_path):
    """Its later trials are nearer to the minimum than the random ones."""
    tried = run(make(tmp_path, algorithm="bayesian", space=SPACE[:1], max_trials=9))
    away = [abs(values["learning_rate"] - 2) for values in tried]
    assert sum(away[-4:]) / 4 < sum(away[:3]) / 3


def test_a_default_outside_of_the_space_can_be_learned_from(tmp_path):
    space = [{"name": "learning_rate", "kind": "float", "min": 1.0, "max": 10.0, "scale": "log"},
             {"name": "units", "kind": "choice", "values": [16, 32]}]  # fmt: skip
    tried = run(make(tmp_path, algorithm="bayesian", space=space, max_trials=6))
    assert len(tried) == 6 and tried[0]["units"] == 8


def test_the_space_is_sent_to_workers(tmp_path):
    """This includes an integer range of a parameter whose default is not an integer."""
    import keras_tuner

    space = [*SPACE, {"name": "temperature", "kind": "int", "min": 2, "max": 9}]
    oracle = make(tmp_path, space=space, trainer=DEFAULT | {"temperature": 4.5})
    values = oracle.create_trial("worker1").hyperparameters
    assert values.get("temperature") == 4.5
    assert keras_tuner.HyperParameters.from_proto(values.to_proto()).values == values.values


def test_hyperband_continues_the_best_of_its_short_trials(tmp_path):
    tried = run(make(tmp_path, algorithm="hyperband", trainer=DEFAULT | {"epochs": 3}, max_trials=30))
    assert tried[0]["tuner/epochs"] == 3  # the default is trained as long as the best
    later = [values for values in tried if "tuner/trial_id" in values]
    assert later and all(values["tuner/epochs"] > values["tuner/initial_epoch"] > 0 for values in later)


def test_trials_that_fail_do_not_end_the_search(tmp_path):
    assert len(run(make(tmp_path, algorithm="bayesian"), fails=range(1, 5))) == 6


def test_no_trial_begins_after_the_minutes_are_spent_before_or_after_a_kill(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    oracle = make(tmp_path, max_minutes=1.0)
    assert len(run(oracle, trials=2)) == 2
    now[0] += 61
    assert run(oracle) == []
    oracle.save()
    resumed = make(tmp_path, max_minutes=1.0)
    resumed.reload()
    assert resumed.spent_seconds > 60 and run(resumed) == []
