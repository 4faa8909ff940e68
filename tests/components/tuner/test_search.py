"""Searches on a tiny text: killed and resumed, shared by two workers, and what becomes of the best."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components import number_format
from components.base import ComponentError
from components.trainer import hyperparameters
from components.tuner import executor
from components.tuner.invitation import INVITATION
from pipeline import config
from pipeline.pipeline import create_pipeline
from pipeline.runner import tuner_worker
from tests.components.tuner import search_process
from tests.components.tuner.search_process import context_of, inputs_of, outputs_of, parameters, trainer_parameters

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[3]
GRID = [{"name": "learning_rate", "kind": "choice", "values": [0.4, 500.0, 0.5]}]


def start(command, folder, environment=None, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.components.tuner.search_process", command, str(folder), json.dumps(options)],
        cwd=REPOSITORY,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A grid of the default and three trials that was killed in its third trial and resumed: (folder, figures)."""
    folder = tmp_path_factory.mktemp("search")
    search_process.write(folder)
    killed = start("search", folder, algorithm="grid", space=GRID, max_trials=9)
    for line in killed.stderr:
        if line.startswith("Trial 2"):
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(list(folder.glob("work/identity/search/trial_*/record.json"))) == 2
    options = parameters(algorithm="grid", space=GRID, max_trials=9)
    return folder, executor.execute(inputs_of(folder), outputs_of(folder), options, context_of(folder))


def test_more_trials_continue_a_finished_search(tmp_path):
    """The runner keeps the search's workspace: its trials are not trained again."""
    search_process.write(tmp_path)
    written = []
    for trials in (1, 2):
        options = parameters(algorithm="grid", space=GRID, max_trials=trials)
        executor.execute(inputs_of(tmp_path), outputs_of(tmp_path), options, context_of(tmp_path))
        records = sorted(tmp_path.glob("work/identity/search/trial_*/record.json"))
        written.append([record.stat().st_mtime_ns for record in records])
    assert len(written[1]) == 2 and written[1][0] == written[0][0]
    assert [trial["values"]["learning_rate"] for trial in trials_of(tmp_path)["trials"]] == [0.3, 0.4]


def trials_of(folder):
    return json.loads((folder / "best_hyperparameters" / "trials.json").read_text())


def test_a_killed_search_resumes_and_tries_everything_once(finished):
    trials = trials_of(finished[0])
    rates = [trial["values"]["learning_rate"] for trial in trials["trials"]]
    assert rates == [0.3, 0.4, 500.0, 0.5]
    assert trials["ended_by"] == "space"


def test_a_trial_that_diverges_is_stopped_and_counted(finished):
    trials = trials_of(finished[0])
    [diverged] = [trial for trial in trials["trials"] if trial["status"] == "diverged"]
    assert diverged["values"]["learning_rate"] == 500.0
    assert "unigram" in diverged["reason"] or diverged["reason"].startswith("Training diverged: the ")
    assert finished[1]["diverged"] == trials["counts"]["diverged"] == 1
    assert trials["counts"]["completed"] == 3


def test_a_trial_whose_averaged_weights_lag_behind_is_completed(tmp_path):
    search_process.write(tmp_path)
    trainer = search_process.DEFAULT | {"ema": 0.9999, "epochs": 4}
    options = parameters(algorithm="grid", space=GRID, max_trials=9, trainer=trainer)
    executor.execute(inputs_of(tmp_path), outputs_of(tmp_path), options, context_of(tmp_path))
    found = {trial["values"]["learning_rate"]: trial["status"] for trial in trials_of(tmp_path)["trials"]}
    assert found == {0.3: "completed", 0.4: "completed", 500.0: "diverged", 0.5: "completed"}


def test_values_that_make_no_setting_together_fail_their_trial_alone(tmp_path):
    search_process.write(tmp_path)
    space = [{"name": name, "kind": "choice", "values": [True, False]} for name in ("tie_embeddings", "output_bias")]
    options = parameters(algorithm="grid", space=space, max_trials=9)
    executor.execute(inputs_of(tmp_path), outputs_of(tmp_path), options, context_of(tmp_path))
    trials = json.loads((tmp_path / "best_hyperparameters/trials.json").read_text())["trials"]
    failed = [trial for trial in trials if trial["status"] == "failed"]
    assert [trial["values"] for trial in failed] == [{"tie_embeddings": True, "output_bias": True}]
    assert len(trials) == 4 and all(len(trial["values"]) == 2 for trial in trials)


def test_the_best_is_compared_with_the_default(finished):
    folder, figures = finished
    trials = trials_of(folder)
    perplexities = {t["values"]["learning_rate"]: min(t["valid_perplexity"]) for t in trials["trials"]
                    if t["status"] == "completed"}  # fmt: skip
    best = min(perplexities.values())
    assert trials["default"]["valid_perplexity"] == perplexities[0.3] == figures["default_perplexity"]
    assert trials["best"]["valid_perplexity"] == best == figures["best_perplexity"]
    assert trials["gain"] == pytest.approx(1 - best / perplexities[0.3], abs=1e-6)
    assert trials["gain"] > 0


def test_the_best_is_written_as_keras_tuner_reads_it(finished):
    import keras_tuner

    text = (finished[0] / "best_hyperparameters" / "best_hyperparameters.txt").read_text()
    best = keras_tuner.HyperParameters.from_config(json.loads(text))
    assert best.get("learning_rate") == trials_of(finished[0])["best"]["values"]["learning_rate"]


def test_tensorboard_shows_hyperparameters_and_their_perplexity(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logs = finished[0] / "best_hyperparameters" / "logs"
    session = EventAccumulator(str(logs / "1")).Reload()
    assert "_hparams_/session_start_info" in session.Tags()["tensors"] and "val_perplexity" in session.Tags()["tensors"]
    assert "_hparams_/experiment" in EventAccumulator(str(logs)).Reload().Tags()["tensors"]


def test_the_best_values_replace_the_trainers_own_parameters(finished):
    best = trials_of(finished[0])["best"]["values"]["learning_rate"]
    own = trainer_parameters(epochs=7)
    applied, tuned = hyperparameters.apply(finished[0] / "best_hyperparameters", own)
    assert tuned == {"learning_rate": best} and own.learning_rate != best
    assert applied == trainer_parameters(epochs=7, learning_rate=best)


def test_the_trainer_trains_with_the_best_and_says_so(finished, tmp_path):
    from components.trainer.executor import execute

    outputs = {key: tmp_path / key for key in ("model", "model_run")}
    for path in outputs.values():
        path.mkdir()
    inputs = inputs_of(finished[0]) | {"hyperparameters": finished[0] / "best_hyperparameters"}
    figures = execute(inputs, outputs, trainer_parameters(), context_of(tmp_path))
    best = trials_of(finished[0])["best"]
    assert figures["tuned"] == number_format.settings(best["values"])
    # The same settings give the same perplexity as in the trial, to the last digit that is kept.
    assert figures["valid_perplexity"] == best["valid_perplexity"]
    assert (
        json.loads((outputs["model"] / "model.json").read_text())["recipe"]["learning_rate"]
        == best["values"]["learning_rate"]
    )


def test_a_damaged_file_of_hyperparameters_is_named(tmp_path):
    for text in ("", "{}", '{"values": {"learning_rates": 1}}'):
        (tmp_path / "best_hyperparameters.txt").write_text(text)
        with pytest.raises(ComponentError, match="best_hyperparameters.txt cannot be used"):
            hyperparameters.apply(tmp_path, trainer_parameters())


def start_shared(folder, **options):
    """A chief that waits for workers, and two of them."""
    search_process.write(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def environment(name):
        return {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": port}

    chief = start("search", folder, environment("chief"), **options)
    deadline = time.monotonic() + 120
    while not list(folder.glob("work/identity/invitation.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    return chief, [start("work", folder, environment(f"worker{number}")) for number in (1, 2)]


def test_two_workers_share_one_search(tmp_path):
    chief, workers = start_shared(tmp_path, max_trials=4)
    results = [process.communicate(timeout=240) for process in (*workers, chief)]
    shares = [json.loads(output.splitlines()[-1])["trials"] for output, _ in results[:2]]
    assert chief.returncode == 0, results[2][1]
    figures = json.loads(results[2][0].splitlines()[-1])
    trials = trials_of(tmp_path)["trials"]
    assert sum(shares) == figures["trials"] == len(trials) == 4
    assert {trial["tuner"] for trial in trials} <= {"worker1", "worker2"}
    assert [sum(t["tuner"] == f"worker{n}" for t in trials) for n in (1, 2)] == shares
    assert min(shares) > 0
    assert trials[0]["values"] == {"learning_rate": 0.3, "gamma": 0.5}  # the default


def test_another_worker_resumes_the_trial_of_one_that_was_killed(tmp_path):
    chief, (victim, survivor) = start_shared(tmp_path, max_trials=3)
    trial = next(line.split()[1].rstrip(":") for line in victim.stderr if line.startswith("Trial"))
    victim.send_signal(signal.SIGKILL)
    for process in (victim, survivor, chief):
        output, errors = process.communicate(timeout=120)
    assert chief.returncode == survivor.returncode == 0, errors
    assert f"worker1 has shown no sign of life for 4 s; trial {trial} waits for another worker." in errors
    trials = trials_of(tmp_path)["trials"]
    assert {trial["tuner"] for trial in trials} == {"worker2"} and len(trials) == 3
    assert json.loads(output.splitlines()[-1])["failed"] == 0


def test_a_worker_waits_for_a_search_with_the_same_configuration(tmp_path, monkeypatch):
    components = create_pipeline(config.load(None, ["tuner.enabled=true"]).settings)
    for name, value in zip(tuner_worker.VARIABLES, ("worker1", "127.0.0.1", "8000"), strict=True):
        monkeypatch.setenv(name, value)
    assert tuner_worker.is_worker(components)
    folder = tmp_path / ".work" / "Tuner" / "key"
    folder.mkdir(parents=True)
    another = {"inputs": {}, "parameters": {"another": "search"}, "host": socket.gethostname(), "process": os.getpid()}
    INVITATION.write(folder, another)
    monkeypatch.setattr(tuner_worker, "CHIEF_WAIT", 0.1)
    with pytest.raises(tuner_worker.RunnerError, match="no chief below"):
        tuner_worker.join(components, tmp_path, tuner_worker.RunProgress())
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    assert not tuner_worker.is_worker(components)
    monkeypatch.delenv("KERASTUNER_ORACLE_PORT")
    with pytest.raises(config.ConfigurationError, match="KERASTUNER_ORACLE_PORT is not"):
        tuner_worker.is_worker(components)
    monkeypatch.delenv("KERASTUNER_ORACLE_IP")
    assert not tuner_worker.is_worker(components)
