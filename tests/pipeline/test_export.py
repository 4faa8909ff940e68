"""`python -m pipeline.export`: what it writes of a model that the real command trained and pushed."""

import contextlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from safetensors.numpy import load_file

from models.token_stream import TokenStream
from pipeline import export as command_line
from tests.components.evaluator_world import TEXTS
from tests.models.numpy_reader import read_with_numpy

REPOSITORY = Path(__file__).parents[2]
TRAINING = {
    "example_gen.dataset": "text_files",
    "vocabulary.min_count": 1,
    "model.units": 16,
    "model.dropout": 0.1,
    "trainer.epochs": 4,
    "trainer.batch_size": 8,
    "trainer.precision": "float32",
    "beam.args": "[--runner=FnApiRunner]",
}
HUB_FILES = "README.md config.json model.keras model.safetensors tokenizer_config.json vocab.txt".split()
LITERT_FILES = "README.md model.tflite tokenizer_config.json vocab.txt".split()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root in which a tiny model was trained and pushed."""
    texts, root = tmp_path_factory.mktemp("texts"), tmp_path_factory.mktemp("root")
    for split, text in TEXTS.items():
        (texts / f"{split}.txt").write_text(text)
    values = TRAINING | {"pipeline.root": root, "example_gen.data_dir": texts}
    assignments = [argument for key, value in values.items() for argument in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "pipeline.run", "--local", *assignments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def hub(root, tmp_path_factory):
    """The Hub's folder of that model."""
    folder = tmp_path_factory.mktemp("hub") / "model"
    done = export(root, "hub", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def litert(root, tmp_path_factory):
    """The folder for devices of that model, in int8."""
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    folder = tmp_path_factory.mktemp("litert") / "model"
    done = export(root, "litert", folder, "--quantize", "int8", "--set", "evaluator.max_regression=0.5")
    assert done.returncode == 0, done.stderr
    return folder


@dataclass
class Done:
    """What a command that was run in this process said."""

    returncode: int
    stdout: str
    stderr: str


def export(root, form, folder, *arguments):
    """Runs the command in this process, which has TensorFlow already."""
    output, errors = io.StringIO(), io.StringIO()
    command = ["--format", form, "--output", folder, "--set", f"pipeline.root={root}", *arguments]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = command_line.main([str(argument) for argument in command])
    return Done(code, output.getvalue(), errors.getvalue())


def evaluation(root):
    (path,) = root.glob("Evaluator/evaluation/*/evaluation.json")
    return json.loads(path.read_text())["splits"]


def tokens(root, split):
    (path,) = root.glob(f"Transform/transformed_examples/*/Split-{split}")
    return TokenStream(path)[:]


def header(folder):
    """The metadata in front of the card."""
    before, metadata, _ = (folder / "README.md").read_text().split("---\n", 2)
    assert not before
    return yaml.safe_load(metadata)


def card_values(folder):
    (model,) = header(folder)["model-index"]
    return {result["dataset"]["split"]: result["metrics"][0]["value"] for result in model["results"]}


def test_help_and_usage_errors_load_nothing_heavy():
    code = (
        "import sys; from pipeline import export\n"
        "usages = ['--help'], ['--format', 'onnx'], '--format hub --output x --quantize int8'.split()\n"
        "for arguments in usages:\n"
        "    try: export.main(arguments)\n    except SystemExit as end: print(end.code)\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'numpy', 'pydantic', 'rich', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert done.stdout.split("\n")[-4:-1] == ["0", "2", "2"]
    assert "--quantize goes with --format litert" in done.stderr


def test_the_hub_folder_has_what_people_expect(hub, root):
    assert sorted(path.name for path in hub.iterdir()) == HUB_FILES
    metadata = header(hub)
    assert {"license", "library_name", "pipeline_tag", "datasets", "metrics", "model-index"} <= metadata.keys()
    judged = evaluation(root)
    expected = {"validation": judged["eval"]["perplexity"], "test": judged["test"]["perplexity"]}
    assert card_values(hub) == pytest.approx(expected, rel=1e-6)
    for split in ("eval", "test"):
        (row,) = re.findall(
            rf"\| {split} \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) – ([\d.]+) \|", (hub / "README.md").read_text()
        )
        words, perplexity, low, high = (float(value.replace(",", "")) for value in row)
        assert words == len(tokens(root, split))
        assert low < perplexity < high
    assert json.loads((hub / "config.json").read_text())["dropout"] == 0.1  # what training it further needs
    assert str(root) not in (hub / "README.md").read_text()


def test_the_card_loads_the_model_and_its_perplexity_is_the_pushed_one(hub, root):
    (code,) = re.findall(r"```python\n(.*?)```", (hub / "README.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    ids = [tokens(root, split).tolist() for split in ("eval", "test")]
    (hub.parent / "ids.json").write_text(json.dumps(ids))
    code += (
        "for ids in json.load(open('../ids.json')):\n"
        "    print(model.evaluate(windows(ids, 1, 100), return_dict=True, verbose=0)['perplexity'])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], cwd=hub, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    of_text, *of_splits = map(float, done.stdout.split())
    judged = evaluation(root)
    assert of_splits == pytest.approx([judged[split]["perplexity"] for split in ("eval", "test")], rel=1e-6)
    pushed = tf.saved_model.load(str(root / "serving" / "1"))
    score = pushed.signatures["score"](text=tf.constant(["A line of text.\nAnother one.\n"]))
    assert of_text == pytest.approx(float(score["perplexity"][0]), rel=1e-5)


def test_numpy_and_safetensors_alone_find_the_same_perplexity(hub, root):
    weights = load_file(hub / "model.safetensors")
    for split in ("eval", "test"):
        log_probabilities = read_with_numpy(weights, tokens(root, split))
        assert math.exp(-log_probabilities.mean()) == pytest.approx(evaluation(root)[split]["perplexity"], rel=1e-6)


def test_without_its_lineage_the_card_has_what_is_known(hub, root, tmp_path):
    shutil.copytree(root / "serving", tmp_path / "elsewhere" / "serving")
    done = export(tmp_path / "elsewhere", "hub", tmp_path / "hub", "--version", "1")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "hub" / "README.md").read_text()
    assert "The splits that it was judged on were not at hand" in text
    assert (tmp_path / "hub" / "model.safetensors").read_bytes() == (hub / "model.safetensors").read_bytes()
    (folder,) = root.glob("Transform/transformed_examples/*")
    assert export(tmp_path / "elsewhere", "hub", tmp_path / "hub2", "--tokens", folder).returncode == 0
    assert card_values(tmp_path / "hub2") == pytest.approx(card_values(hub), rel=1e-6)


def test_bad_input_is_named_and_nothing_is_overwritten(root, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for output, arguments, expected in [
        ("full", [], "is not empty"),
        ("file", [], "is a file"),
        ("new", ["--version", "7"], "--version 7: "),
        ("new", ["--set", "pipeline.rot=x"], "pipeline.rot (from --set) is not a configuration key"),
        ("new", ["--set", f"pipeline.root={tmp_path}"], "no version was pushed"),
        ("new", ["--config", "missing.yaml"], "missing.yaml cannot be read"),
        ("new", ["--tokens", tmp_path], "expected the folders Split-eval and Split-test"),
    ]:
        done = export(root, "hub", tmp_path / output, *arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
    assert [path.read_text() for path in (tmp_path / "full").iterdir()] == ["mine"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_damaged_card_is_named(root, tmp_path):
    shutil.copytree(root / "serving", tmp_path / "serving")
    (tmp_path / "serving" / "1" / "assets.extra" / "model_card.json").write_text("[]")
    done = export(tmp_path, "hub", tmp_path / "new")
    assert done.returncode == 2
    assert "model_card.json cannot be read as the card of a pushed model" in done.stderr
    assert not (tmp_path / "new").exists()


def test_an_extra_that_is_not_installed_is_named(root, tmp_path):
    code = (
        "import sys; sys.modules['ai_edge_litert'] = None\n"  # as if it were not installed
        "from pipeline import export\n"
        f"sys.exit(export.main(['--format', 'litert', '--output', {str(tmp_path / 'new')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install -e '.[litert]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_stopped_leaves_nothing(root, tmp_path):
    arguments = ["--format", "hub", "--output", tmp_path / "new", "--set", f"pipeline.root={root}"]
    process = subprocess.Popen([sys.executable, "-m", "pipeline.export", *map(str, arguments)], cwd=REPOSITORY)
    deadline = time.monotonic() + 120
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(tmp_path.iterdir()), "it never began to write"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.litert
def test_the_device_folder_has_the_perplexity_that_its_interpreter_gives(litert, root):
    from ai_edge_litert.interpreter import Interpreter

    assert sorted(path.name for path in litert.iterdir()) == LITERT_FILES
    step = Interpreter(str(litert / "model.tflite")).get_signature_runner("step")
    for split, of_card in zip(("eval", "test"), ("validation", "test"), strict=True):
        ids = tokens(root, split)
        state, total = np.zeros(step.get_input_details()["state"]["shape"], np.float32), 0.0
        for previous, target in zip([1, *ids[:-1]], ids, strict=True):
            outputs = step(token_ids=np.array([previous], np.int64), state=state)
            state = outputs["state"]
            total -= outputs["log_probabilities"][0, target]
        assert card_values(litert)[of_card] == pytest.approx(math.exp(total / len(ids)), rel=1e-6)
        assert card_values(litert)[of_card] == pytest.approx(evaluation(root)[split]["perplexity"], rel=0.05)


@pytest.mark.litert
def test_float32_on_a_device_is_the_pushed_model(root, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    done = export(root, "litert", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert "for devices, as float32" in done.stdout
    expected = {"validation": evaluation(root)["eval"]["perplexity"], "test": evaluation(root)["test"]["perplexity"]}
    assert card_values(tmp_path / "new") == pytest.approx(expected, rel=1e-5)


@pytest.mark.litert
def test_a_device_model_that_lost_too_much_is_refused(root, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    done = export(root, "litert", tmp_path / "new", "--quantize", "int8", "--set", "evaluator.max_regression=0")
    assert (done.returncode, done.stdout) == (3, "")
    assert "more than evaluator.max_regression allows" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.litert
def test_devices_need_splits_to_be_measured_on(root, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    shutil.copytree(root / "serving", tmp_path / "elsewhere" / "serving")
    done = export(tmp_path / "elsewhere", "litert", tmp_path / "new")
    assert done.returncode == 2
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


@pytest.mark.litert
def test_a_device_suggests_words_while_someone_types(device, litert, root):
    environment = {"PATH": os.environ["PATH"]}
    there = subprocess.run([str(device), "-c", "import tensorflow"], env=environment, capture_output=True)
    assert there.returncode != 0, "the environment is not one of a device"
    typed = "alpha beta gamma ze"
    command = [str(device), str(REPOSITORY / "examples" / "on_device.py"), str(litert)]
    done = subprocess.run(command, input=typed, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = {line[:40].strip()[1:-1]: line[41:].split(", ") for line in done.stdout.splitlines()}
    assert list(lines) == [typed[:end] for end in range(len(typed) + 1)]
    pushed = tf.saved_model.load(str(root / "serving" / "1")).signatures["serving_default"]
    for text in ("", "alpha ", "alpha beta gamma "):
        answer = pushed(text=tf.constant([text]))
        expected = dict(zip(answer["words"].numpy()[0], answer["probabilities"].numpy()[0], strict=True))
        for suggestion in lines[text]:
            word, probability = suggestion.rsplit(" ", 1)
            assert float(probability) == pytest.approx(expected[word.encode()], abs=0.03)
    assert [suggestion.split()[0] for suggestion in lines[typed]] in ([], ["zeta"])
    assert all(suggestion.startswith("g") for suggestion in lines["alpha beta g"])
