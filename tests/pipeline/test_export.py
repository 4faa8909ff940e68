"""`python -m pipeline.export --format hub`: what it writes, and what it refuses to do in any format."""

import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types

import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from pipeline import config
from pipeline.exit_codes import TERMINATED, USAGE_ERROR
from pipeline.exporting import model_card, pushed_model
from tests.models.serving.numpy_reader import read_with_numpy
from tests.pipeline.exporting.exports import (
    REPOSITORY,
    card_values,
    evaluation,
    export,
    header,
    tokens,
    train_and_push,
)

pytestmark = pytest.mark.slow
HUB_FILES = "README.md config.json model.keras model.safetensors tokenizer_config.json vocab.txt".split()


@pytest.fixture(scope="module")
def hub(pushed_root, tmp_path_factory):
    """The Hub's folder of that model."""
    folder = tmp_path_factory.mktemp("hub") / "model"
    done = export(pushed_root, "hub", folder)
    assert done.returncode == 0, done.stderr
    return folder


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


def test_the_hub_folder_has_what_people_expect(hub, pushed_root):
    assert sorted(path.name for path in hub.iterdir()) == HUB_FILES
    metadata = header(hub)
    assert {"license", "library_name", "pipeline_tag", "datasets", "metrics", "model-index"} <= metadata.keys()
    judged = evaluation(pushed_root)
    expected = {"validation": judged["eval"]["perplexity"], "test": judged["test"]["perplexity"]}
    assert card_values(hub) == pytest.approx(expected, rel=1e-6)
    for split in ("eval", "test"):
        (row,) = re.findall(
            rf"\| {split} \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) – ([\d.]+) \|", (hub / "README.md").read_text()
        )
        words, perplexity, low, high = (float(value.replace(",", "")) for value in row)
        assert words == len(tokens(pushed_root, split))
        assert low < perplexity < high
    assert json.loads((hub / "config.json").read_text())["dropout"] == 0.1  # what training it further needs
    assert str(pushed_root) not in (hub / "README.md").read_text()


def test_the_card_loads_the_model_and_its_perplexity_is_the_pushed_one(hub, pushed_root):
    (code,) = re.findall(r"```python\n(.*?)```", (hub / "README.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    ids = [tokens(pushed_root, split).tolist() for split in ("eval", "test")]
    (hub.parent / "ids.json").write_text(json.dumps(ids))
    code += (
        "for ids in json.load(open('../ids.json')):\n"
        "    print(model.evaluate(windows(ids, 1, 100), return_dict=True, verbose=0)['perplexity'])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], cwd=hub, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    of_text, *of_splits = map(float, done.stdout.split())
    judged = evaluation(pushed_root)
    assert of_splits == pytest.approx([judged[split]["perplexity"] for split in ("eval", "test")], rel=1e-6)
    pushed = tf.saved_model.load(str(pushed_root / "serving" / "1"))
    score = pushed.signatures["score"](text=tf.constant(["A line of text.\nAnother one.\n"]))
    assert of_text == pytest.approx(float(score["perplexity"][0]), rel=1e-5)


def test_numpy_and_safetensors_alone_find_the_same_perplexity(hub, pushed_root):
    weights = load_file(hub / "model.safetensors")
    for split in ("eval", "test"):
        log_probabilities = read_with_numpy(weights, tokens(pushed_root, split))
        assert math.exp(-log_probabilities.mean()) == pytest.approx(
            evaluation(pushed_root)[split]["perplexity"], rel=1e-6
        )


def test_a_model_without_the_augmented_loss_is_exported_also_after_its_tokens_were_removed(tmp_path):
    (tmp_path / "texts").mkdir()
    train_and_push(tmp_path / "texts", tmp_path / "root", **{"loss.augmented": "false"})
    for folder in ("with-tokens", "without"):
        done = export(tmp_path / "root", "hub", tmp_path / folder)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / folder / "model.safetensors").exists()
        shutil.rmtree(tmp_path / "root/Transform", ignore_errors=True)


def test_without_lineage_the_card_has_what_is_known(hub, pushed_root, tmp_path):
    shutil.copytree(pushed_root / "serving", tmp_path / "elsewhere" / "serving")
    done = export(tmp_path / "elsewhere", "hub", tmp_path / "hub", "--version", "1")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "hub" / "README.md").read_text()
    assert "The splits that it was judged on were not at hand" in text
    assert (tmp_path / "hub" / "model.safetensors").read_bytes() == (hub / "model.safetensors").read_bytes()
    (folder,) = pushed_root.glob("Transform/transformed_examples/*")
    assert export(tmp_path / "elsewhere", "hub", tmp_path / "hub2", "--tokens", folder).returncode == 0
    assert card_values(tmp_path / "hub2") == pytest.approx(card_values(hub), rel=1e-6)


def test_a_card_for_devices_says_where_there_is_no_interval(pushed_root):
    settings = config.load(None, [f"pipeline.root={pushed_root}"]).settings
    pushed = dataclasses.replace(pushed_model.find(settings, None, None), evaluation=None)
    model = types.SimpleNamespace(
        num_layers=2, units=16, tie_embeddings=True, vocabulary_size=9, count_params=lambda: 99
    )
    measured = {"tokens": 5, "perplexity": 9.0, "on_device": 9.09, "change": 0.01}  # a split of one line
    text = model_card.litert(pushed, model, {"eval": measured}, "int8")
    assert "| eval | 5 | 9.000 | not measured | 9.090 | +1.000% |" in text


def test_bad_input_is_named_and_nothing_is_overwritten(pushed_root, tmp_path):
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
        done = export(pushed_root, "hub", tmp_path / output, *arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
    assert [path.read_text() for path in (tmp_path / "full").iterdir()] == ["mine"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("damage", [lambda card: [], lambda card: card | {"recipe": {}}], ids=["list", "no recipe"])
def test_a_damaged_card_is_named(pushed_root, tmp_path, damage):
    shutil.copytree(pushed_root / "serving", tmp_path / "serving")
    file = tmp_path / "serving" / "1" / "assets.extra" / "model_card.json"
    file.write_text(json.dumps(damage(json.loads(file.read_text()))))
    done = export(tmp_path, "hub", tmp_path / "new")
    assert done.returncode == USAGE_ERROR
    assert "model_card.json cannot be read as the card of a pushed model" in done.stderr
    assert not (tmp_path / "new").exists()


def test_an_extra_that_is_not_installed_is_named(tmp_path):
    code = (
        "import sys; sys.modules['ai_edge_litert'] = None\n"  # as if it were not installed
        "from pipeline import export\n"
        f"sys.exit(export.main(['--format', 'litert', '--output', {str(tmp_path / 'new')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == USAGE_ERROR
    assert "pip install -c constraints.txt -e '.[litert]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_stopped_leaves_nothing(pushed_root, tmp_path):
    arguments = ["--format", "hub", "--output", tmp_path / "new", "--set", f"pipeline.root={pushed_root}"]
    process = subprocess.Popen([sys.executable, "-m", "pipeline.export", *map(str, arguments)], cwd=REPOSITORY)
    deadline = time.monotonic() + 120
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(tmp_path.iterdir()), "it never began to write"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == TERMINATED
    assert list(tmp_path.iterdir()) == []
