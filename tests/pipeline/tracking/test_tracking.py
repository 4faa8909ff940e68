"""MLflow has each run, its curves while it trains and its model; and nothing that MLflow does stops a run."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from components.artifacts.model_run import HISTORY
from components.artifacts.pushed_model import PUSHED
from components.artifacts.trials import TRIALS
from components.evaluator.baseline import digest
from pipeline import report
from pipeline.exit_codes import USAGE_ERROR
from pipeline.metadata.store import Metadata
from pipeline.root import metadata_file, work_folder
from pipeline.runner.local_runner import LocalRunner
from pipeline.tracking.tracker import Tracker
from tests.components.artifacts import samples

mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed (extra mlflow)")
pytestmark = pytest.mark.mlflow

REPOSITORY = Path(__file__).parents[3]
TEXT = [f"the {color} {animal} sees {count} {things} here" for color in ("red", "blue", "green")
        for animal in ("cat", "dog", "bird", "fish") for count in ("two", "three", "four")
        for things in ("trees", "stones", "houses", "clouds")]  # fmt: skip
SETTINGS = {
    "pipeline.root": "output",
    "example_gen.dataset": "text_files",
    "example_gen.data_dir": "texts",
    "model.units": 8,
    "trainer.epochs": 3,
    "trainer.batch_size": 4,
    "infra_validator.max_latency_ms": 0,
}


def run(folder: Path, uri: str, *arguments: str, **environment: str) -> tuple[dict, str]:
    """Runs the real command in a folder; returns its summary, whose exit is 0, and its standard error."""
    values = SETTINGS | {"tracking.mlflow_uri": uri}
    settings = [x for key, value in values.items() for x in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.run", *(arguments or ["--local"]), *settings],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict:
    """A run that was tracked in a SQLite store: its `folder`, `uri`, `summary` and `stderr`."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "texts").mkdir()
    for split, lines in (("train", TEXT * 3), ("valid", TEXT[::7]), ("test", TEXT[::5])):
        (folder / "texts" / f"{split}.txt").write_text("\n".join(lines) + "\n")
    summary, stderr = run(folder, "sqlite:///mlflow.db")
    return {"folder": folder, "uri": f"sqlite:///{folder}/mlflow.db", "summary": summary, "stderr": stderr}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    """A SQLite store of MLflow, which takes a while to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def the_run(client, run_id: str):
    [experiment] = [found for found in client.search_experiments() if found.name == "tied-language-model"]
    [found] = client.search_runs([experiment.experiment_id], f"tags.`tied_lm.run_id` = '{run_id}'")
    return found


def properties(root: Path, run_id: str) -> dict:
    with Metadata(metadata_file(root), read_only=True) as metadata:
        return next(found for found in metadata.runs() if found["run_id"] == run_id)


def check(uri: str, world: dict, run_id: str) -> None:
    """MLflow has all of a run, once."""
    client, root = mlflow.MlflowClient(uri), world["folder"] / "output"
    tracked = the_run(client, run_id)
    record = properties(root, run_id)["run"]
    assert tracked.info.status == "FINISHED"
    values = {k: v if isinstance(v, str) else json.dumps(v) for k, v in record["configuration"].items()}
    assert tracked.data.params == values
    [history] = root.glob("Trainer/model_run/*/history.json")
    for epoch in json.loads(history.read_text())["epochs"]:
        for name in ("train_perplexity", "valid_perplexity", "learning_rate", "cross_entropy", "tokens_per_second"):
            logged = client.get_metric_history(tracked.info.run_id, name)
            assert [m.value for m in logged if m.step == epoch["epoch"]] == [pytest.approx(epoch[name])]
    assert tracked.data.metrics["evaluator.test_perplexity"] == pytest.approx(world["summary"]["test_perplexity"])
    tags = tracked.data.tags
    assert (tags["blessed"], tags["exit"], tags["pushed_version"]) == ("true", "0", "1")
    assert len(tags["corpus_digest"]) == len(tags["code_digest"]) == 64
    names = {file.path for file in client.list_artifacts(tracked.info.run_id)}
    assert {"report.html", "summary.json", "plots"} <= names
    assert "plots/perplexity.svg" in {file.path for file in client.list_artifacts(tracked.info.run_id, "plots")}
    known = properties(root, run_id)["mlflow"]
    assert (known["run_id"], known["complete"]) == (tracked.info.run_id, True)
    champion = client.get_model_version_by_alias("tied-language-model", "champion")
    assert champion.tags["tied_lm.version"] == "1"
    assert len(client.search_model_versions("name='tied-language-model'")) == 1


def test_a_run_is_logged_with_its_settings_curves_figures_and_model(world):
    assert "MLflow: run " in world["stderr"]
    check(world["uri"], world, world["summary"]["run_id"])


def test_the_champion_answers_as_the_pushed_model_does(world):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    mlflow.set_tracking_uri(world["uri"])
    model = mlflow.pyfunc.load_model("models:/tied-language-model@champion")
    pushed = tf.saved_model.load(world["summary"]["pushed_model"]).signatures
    rows = [{"text": "the red cat sees"}, {"text": "the blue"}]
    texts = tf.constant([row["text"] for row in rows])
    expected = pushed["serving_default"](text=texts)["words"].numpy()
    assert model.predict(rows)["words"].tolist() == [[word.decode() for word in line] for line in expected]
    scores = pushed["score"](text=texts)["perplexity"].numpy()
    assert model.predict(rows, {"task": "score"})["perplexity"].tolist() == pytest.approx(scores.tolist())
    continued = model.predict(rows, {"task": "continue", "max_words": 3, "temperature": 0.0})["text"]
    assert [len(text.split()) for text in continued] == [3, 3]
    with pytest.raises(Exception, match="expected next_words, score or continue"):
        model.predict(rows, {"task": "translate"})
    assert model.metadata.get_input_schema().input_names() == ["text"]
    assert model.input_example is not None


@contextlib.contextmanager
def server(folder: Path, port: int):
    """A real MLflow server on this machine; yields its address."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "files")]
    process = subprocess.Popen([*command, *places], cwd=folder, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None, "The MLflow server did not start."
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_what_a_server_missed_while_it_was_down_is_sent_once(world, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    summary, stderr = run(world["folder"], uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert "does not have all of this run" in stderr and summary["exit"] == 0
    words = re.search(r"pipeline\.report (--publish .*)", stderr).group(1).split()
    with server(tmp_path, port):
        for _ in range(2):
            assert report.main(words) == 0
            check(uri, world, summary["run_id"])
    assert capsys.readouterr().out.count(f"in {uri}") == 2
    start = time.monotonic()
    assert report.main(words) == USAGE_ERROR  # it is down again
    assert time.monotonic() - start < 60
    assert f"MLflow at {uri} does not have all of" in capsys.readouterr().err


def test_a_server_that_never_answers_only_delays_the_end(world):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        options = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        summary, stderr = run(world["folder"], uri, **options)
    assert "does not have all of this run" in stderr
    assert {step["status"] for step in summary["components"].values()} == {"cached"}


def test_an_epoch_is_logged_while_the_run_continues(store, tmp_path):
    client = mlflow.MlflowClient(store)
    with LocalRunner(tmp_path) as runner:
        runner.start_run("2026-01-01T00:00:00+00:00")
        with Tracker(store, runner, {"trainer.epochs": 2}):
            workspace = work_folder(tmp_path, "Trainer") / "0123"
            workspace.mkdir(parents=True)
            records = [samples.epoch(1), samples.epoch(2)]
            for epochs in (records[:1], records):
                HISTORY.write(workspace, {"steps_per_epoch": 9, "best_epoch": None, "epochs": epochs})
                deadline = time.monotonic() + 240
                logged = []
                while len(logged) < len(epochs) and time.monotonic() < deadline:
                    time.sleep(1)
                    with contextlib.suppress(ValueError):  # the run is not there yet
                        tracked = the_run(client, runner.run_id).info
                        logged = client.get_metric_history(tracked.run_id, "valid_perplexity")
                assert [(point.step, point.value) for point in logged] == [
                    (e["epoch"], e["valid_perplexity"]) for e in epochs
                ]
            assert tracked.status == "RUNNING"
    assert the_run(client, runner.run_id).info.status == "KILLED"  # it never reported how it ended


def pushed_run(root: Path, run_id: str, component: str, versions: Path, version: int) -> dict:
    """The record of a run that pushed the version which is now in place, and its `pushed.json`."""
    path = versions / str(version)
    uri = f"{component}/pushed_model/{run_id}"
    (root / uri).mkdir(parents=True)
    PUSHED.write(root / uri, {"path": str(path), "version": version, "digest": digest(path)})
    step = {"name": component, "figures": {"version": version}, "outputs": {"pushed_model": {"uri": uri}}}
    return {
        "run_id": run_id,
        "root": str(root),
        "configuration": {"tracking.registered_model": "words"},
        "summary": {"pushed_model": str(path)},
        "components": [step],
    }


def test_the_champion_is_the_newest_push_a_rollback_too(exported_models, store, tmp_path):
    from pipeline.tracking import registry
    from pipeline.tracking.publisher import Publisher
    from tests.pipeline.server.serving_folder import push

    versions = tmp_path / "versions"
    versions.mkdir()
    client = mlflow.MlflowClient(store)
    steps = [("first", "Pusher"), ("second", "Pusher"), ("first", "Rollback")]
    records = []
    for version, (source, component) in enumerate(steps, start=1):
        push(exported_models / source, versions, version)
        record = pushed_run(tmp_path, f"run-{version}", component, versions, version)
        records.append(record)
        publisher = Publisher(store, record["run_id"], record["configuration"])
        registry.register(client, publisher.mlflow_id, record)
        champion = client.get_model_version_by_alias("words", "champion")
        assert (champion.tags["tied_lm.version"], champion.run_id) == (str(version), publisher.mlflow_id)

    registry.register(client, publisher.mlflow_id, records[0])  # sent again: it is known, and not the newest one
    assert client.get_model_version_by_alias("words", "champion").tags["tied_lm.version"] == "3"

    shutil.rmtree(versions)  # the numbers start again
    versions.mkdir()
    push(exported_models / "second", versions, 1)
    record = pushed_run(tmp_path, "run-4", "Pusher", versions, 1)
    publisher = Publisher(store, "run-4", record["configuration"])
    registry.register(client, publisher.mlflow_id, record)
    champion = client.get_model_version_by_alias("words", "champion")
    assert (champion.tags["tied_lm.version"], champion.run_id) == ("1", publisher.mlflow_id)
    for old in records:  # sent late: what they pushed is gone, and version 1 is of another run
        registry.register(client, publisher.mlflow_id, old)
    assert client.get_model_version_by_alias("words", "champion").run_id == publisher.mlflow_id
    assert len(client.search_model_versions("name='words'")) == 4

    client.create_registered_model("theirs")
    record["configuration"]["tracking.registered_model"] = "theirs"
    with pytest.raises(registry.RegistryError, match=r"a model that is not of this project.*tracking.registered_model"):
        registry.register(client, publisher.mlflow_id, record)
    assert not client.search_model_versions("name='theirs'")


def test_the_trials_of_a_search_are_nested_runs_once(store, tmp_path):
    from pipeline.tracking.publisher import Publisher

    trials = [samples.trial("0", [120.0, 100.0], gamma=0.65), samples.trial("1", [900.0], "diverged", gamma=2.0)]
    output = {"uri": "Tuner/best_hyperparameters/6"}
    (tmp_path / output["uri"]).mkdir(parents=True)
    TRIALS.write(tmp_path / output["uri"], samples.trials(*trials))
    tuner = {"name": "Tuner", "figures": {}, "outputs": {"best_hyperparameters": output}}
    summary = {"blessed": None, "pushed_model": None}
    record = {"run_id": "search", "root": str(tmp_path), "seconds": 1.0, "exit": 1, "error": "Trainer: it broke",
              "configuration": {}, "summary": summary, "components": [tuner]}  # fmt: skip
    for _ in range(2):
        publisher = Publisher(store, "search", {})
        publisher.finish(record)
    client = mlflow.MlflowClient(store)
    parent = the_run(client, "search")
    assert (parent.info.status, parent.data.tags["error"]) == ("FAILED", "Trainer: it broke")
    wanted = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    nested = client.search_runs([parent.info.experiment_id], wanted, order_by=["tags.`mlflow.runName`"])
    assert [found.data.params for found in nested] == [{"gamma": "0.65"}, {"gamma": "2.0"}]
    assert [found.info.status for found in nested] == ["FINISHED", "FAILED"]
    logged = [client.get_metric_history(found.info.run_id, "valid_perplexity") for found in nested]
    assert [[point.value for point in history] for history in logged] == [[120.0, 100.0], [900.0]]
