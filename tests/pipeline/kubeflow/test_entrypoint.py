"""What runs in a container: one component, on the folders that the engine names; kfp is not needed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.base import ComponentError
from components.example_gen.component import ExampleGen
from components.trainer.component import Trainer
from pipeline import config
from pipeline.exit_codes import FAILED, TERMINATED, USAGE_ERROR
from pipeline.kubeflow import entrypoint
from pipeline.pipeline import create_pipeline
from pipeline.runner.code_digest import code_digest
from tests.components.tuner import search_process

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text("one line\nanother line\n" * 20)
    return folder


def arguments(kind, folder, parameters, *more):
    """Of a component without inputs whose one output is `examples`."""
    return [
        kind.__name__, "--parameters", json.dumps(parameters), "--run-id", "a-run",
        "--output", "examples", str(folder / "examples"), "bucket://examples",
        "--record", str(folder / "record" / "executor_output.json"), *more,
    ]  # fmt: skip


def of_texts(texts):
    return ExampleGen.Parameters(dataset="text_files", data_dir=str(texts)).model_dump(mode="json")


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.kubeflow.entrypoint", *arguments],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(*arguments):
    process = start(*arguments)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


@pytest.mark.parametrize("assignments", [(), ("tuner.enabled=true", "evaluator.rules=[{metric: perplexity, max: 9}]")])
def test_every_components_parameters_are_restored_from_their_json(assignments):
    for component in create_pipeline(config.load(assignments=assignments).settings):
        compiled = json.dumps(component.parameters.model_dump(mode="json"))
        assert entrypoint.parameters(type(component), compiled, []) == component.parameters


def test_what_a_run_sets_wins_over_what_was_compiled():
    compiled = json.dumps(Trainer.Parameters(epochs=40, patience=3).model_dump(mode="json"))
    given = [("epochs", "2"), ("patience", "null"), ("learning_rate", "0.25"), ("initial_model", "7")]
    found = entrypoint.parameters(Trainer, compiled, given)
    assert (found.epochs, found.patience, found.learning_rate, found.initial_model) == (2, None, 0.25, "7")


@pytest.mark.parametrize(("name", "text"), [("epochs", "0"), ("epochs", "three"), ("learning_rate", "nan")])
def test_a_wrong_value_of_a_run_is_named(name, text):
    with pytest.raises(ComponentError, match=f"the run's parameters cannot be used(.|\n)*{name}|{text}"):
        entrypoint.parameters(Trainer, "{}", [(name, text)])


def test_a_component_writes_its_outputs_and_the_engines_record_of_them(texts, tmp_path):
    left_over = tmp_path / "examples" / "left_by_a_failed_attempt"
    left_over.parent.mkdir()
    left_over.touch()
    code = ["--code", code_digest(ExampleGen)]
    done = run(*arguments(ExampleGen, tmp_path, of_texts(texts), *code))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["train_lines"] == 40
    written = sorted(path.name for path in (tmp_path / "examples").iterdir())
    assert written == ["Split-eval", "Split-test", "Split-train"]
    record = json.loads((tmp_path / "record" / "executor_output.json").read_text())
    [artifact] = record["artifacts"]["examples"]["artifacts"]
    assert (artifact["name"], artifact["uri"]) == ("examples", "bucket://examples")
    assert artifact["metadata"]["train_lines"] == 40


def test_a_failure_is_one_message_and_leaves_no_record(texts, tmp_path):
    done = run(*arguments(ExampleGen, tmp_path, of_texts(texts), "--set", "data_dir", str(tmp_path / "nothing")))
    assert (done.returncode, done.stdout) == (1, "")
    assert "ExampleGen: " in done.stderr and "nothing" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "record").exists()


def test_an_image_of_other_code_is_refused(texts, tmp_path):
    done = run(*arguments(ExampleGen, tmp_path, of_texts(texts), "--code", "0" * 64))
    assert done.returncode == FAILED
    assert "other code" in done.stderr and "compile the pipeline again" in done.stderr
    assert not (tmp_path / "examples").exists()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, TERMINATED), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_retried_training_resumes_from_its_checkpoint(tmp_path, number, exit_code):
    inputs = search_process.write(tmp_path)
    settings = Trainer.Parameters(**search_process.DEFAULT | {"epochs": 6}).model_dump(mode="json")
    command = ["Trainer", "--parameters", json.dumps(settings), "--run-id", "a-run"]
    command += ["--workspace", str(tmp_path / "work")]
    command += [text for key, folder in inputs.items() for text in ("--input", key, str(folder))]
    command += [text for key in Trainer.OUTPUTS for text in ("--output", key, str(tmp_path / key), f"bucket://{key}")]
    command += ["--record", str(tmp_path / "record.json")]
    with start(*command) as first:
        for line in first.stderr:
            if line.startswith("epoch   2/"):
                first.send_signal(number)
                break
        first.communicate()
    assert first.returncode == exit_code and not (tmp_path / "record.json").exists()
    again = run(*command)
    assert again.returncode == 0, again.stderr
    assert "Resuming from the checkpoint at epoch" in again.stderr and "epoch   1/6" not in again.stderr
    assert json.loads(again.stdout)["epochs"] == 6
    assert not (tmp_path / "work").exists()


def test_an_unknown_component_is_a_usage_error():
    done = run("Trainr", "--parameters", "{}", "--run-id", "a", "--record", "b")
    assert done.returncode == USAGE_ERROR and "Trainer" in done.stderr
