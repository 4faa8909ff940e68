"""`python -m pipeline.export --format litert`: the perplexity of what it wrote, the gate, and a device that uses it."""

import math
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pipeline.exit_codes import USAGE_ERROR
from pipeline.exporting import writing
from tests.pipeline.exporting.exports import REPOSITORY, card_values, evaluation, export, tokens

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytestmark = pytest.mark.litert
LITERT_FILES = "README.md model.tflite tokenizer_config.json vocab.txt".split()


@pytest.fixture(scope="module")
def litert(pushed_root, tmp_path_factory):
    """The folder for devices of that model, in int8."""
    folder = tmp_path_factory.mktemp("litert") / "model"
    done = export(pushed_root, "litert", folder, "--quantize", "int8", "--set", "evaluator.max_regression=0.5")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_device_folder_has_the_perplexity_that_its_interpreter_gives(litert, pushed_root):
    from ai_edge_litert.interpreter import Interpreter

    assert sorted(path.name for path in litert.iterdir()) == LITERT_FILES
    step = Interpreter(str(litert / "model.tflite")).get_signature_runner("step")
    for split, of_card in zip(("eval", "test"), ("validation", "test"), strict=True):
        ids = tokens(pushed_root, split)
        state, total = np.zeros(step.get_input_details()["state"]["shape"], np.float32), 0.0
        for previous, target in zip([1, *ids[:-1]], ids, strict=True):
            outputs = step(token_ids=np.array([previous], np.int64), state=state)
            state = outputs["state"]
            total -= float(outputs["log_probabilities"][0, target])  # float32 would round the sum
        assert card_values(litert)[of_card] == pytest.approx(math.exp(total / len(ids)), rel=1e-6)
        assert card_values(litert)[of_card] == pytest.approx(evaluation(pushed_root)[split]["perplexity"], rel=0.05)


def test_float32_on_a_device_is_the_pushed_model(pushed_root, tmp_path):
    done = export(pushed_root, "litert", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert "for devices, as float32" in done.stdout
    expected = {
        "validation": evaluation(pushed_root)["eval"]["perplexity"],
        "test": evaluation(pushed_root)["test"]["perplexity"],
    }
    assert card_values(tmp_path / "new") == pytest.approx(expected, rel=1e-5)


def test_a_device_model_that_lost_too_much_is_refused(pushed_root, litert, tmp_path, monkeypatch):
    # Whether rounding helps or hurts so small a model is chance, so the limit is put just below what it does.
    found = card_values(litert)["validation"] / evaluation(pushed_root)["eval"]["perplexity"] - 1
    write = writing.write_litert
    monkeypatch.setattr(writing, "write_litert", lambda *arguments: write(*arguments[:3], found - 1e-6))
    done = export(pushed_root, "litert", tmp_path / "new", "--quantize", "int8")
    assert (done.returncode, done.stdout) == (3, "")
    assert "more than evaluator.max_regression allows" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_devices_need_splits_to_be_measured_on(pushed_root, tmp_path):
    shutil.copytree(pushed_root / "serving", tmp_path / "elsewhere" / "serving")
    done = export(tmp_path / "elsewhere", "litert", tmp_path / "new")
    assert done.returncode == USAGE_ERROR
    assert "--tokens DIR" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """A Python that has the extra's one package and NumPy, and nothing else of this project's."""
    folder = tmp_path_factory.mktemp("device") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = ["-m", "pip", "install", "--quiet", "-c", str(REPOSITORY / "constraints.txt"), "ai-edge-litert", "numpy"]
    done = subprocess.run([str(folder / "bin" / "python"), *install], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"ai-edge-litert cannot be installed here: {done.stderr[-200:]}")
    return folder / "bin" / "python"


def test_a_device_suggests_words_while_someone_types(device, litert, pushed_root):
    environment = {"PATH": os.environ["PATH"]}
    there = subprocess.run([str(device), "-c", "import tensorflow"], env=environment, capture_output=True)
    assert there.returncode != 0, "the environment is not one of a device"
    typed = "alpha beta epsilon ze"
    command = [str(device), str(REPOSITORY / "examples" / "on_device.py"), str(litert)]
    done = subprocess.run(command, input=typed, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = {line[:40].strip()[1:-1]: line[41:].split(", ") for line in done.stdout.splitlines()}
    assert list(lines) == [typed[:end] for end in range(len(typed) + 1)]
    pushed = tf.saved_model.load(str(pushed_root / "serving" / "1")).signatures["serving_default"]
    for text in ("", "alpha ", "alpha beta epsilon "):
        answer = pushed(text=tf.constant([text]))
        expected = dict(zip(answer["words"].numpy()[0], answer["probabilities"].numpy()[0], strict=True))
        for suggestion in lines[text]:
            word, probability = suggestion.rsplit(" ", 1)
            assert float(probability) == pytest.approx(expected[word.encode()], abs=0.03)
    assert [suggestion.split()[0] for suggestion in lines[typed]] == ["zeta"]
    assert {suggestion.split()[0] for suggestion in lines["alpha beta e"]} == {"epsilon", "eta"}
