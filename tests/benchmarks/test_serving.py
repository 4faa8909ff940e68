"""The figures of the serving benchmark: each goal is the goal of a figure that is produced."""

import json
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from benchmarks import serving
from models.serving import saved_model

ANSWERING_SERVER = Path(__file__).with_name("answering_server.py")
WORDS = ["<unk>", "<eos>", *(f"w{i}" for i in range(8))]


class Signature:
    """Stands for a signature of a SavedModel: answers each text with one token."""

    structured_input_signature = ((), {"state": tf.TensorSpec([None, 2, 2, 4])})  # 2 layers, 4 units

    def __call__(self, text=(), token_ids=(), state=None):
        ones = tf.ones([len(text)])
        return {"num_tokens": tf.cast(ones, tf.int64), "log_probability": -ones, "perplexity": ones}


class Model:
    _weights = [tf.Variable(tf.zeros(shape)) for shape in [(len(WORDS), 4), *[(4, 16), (4, 16), (16,)] * 2]]
    signatures = {name: Signature() for name in ("serving_default", "step", "score")}


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """The rows that the command writes, by name, of a model and a server that answer at once."""
    folder = tmp_path_factory.mktemp("model")
    vocabulary = folder / "1" / saved_model.VOCABULARY
    vocabulary.parent.mkdir(parents=True)
    vocabulary.write_text("\n".join(WORDS) + "\n")
    (folder / "1" / "saved_model.pb").write_bytes(b"graph")
    time_calls = serving.time_calls
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "SERVER", [sys.executable, str(ANSWERING_SERVER)])
        patch.setattr(serving, "time_calls", lambda call, calls: time_calls(call, 2))
        patch.setattr(tf.saved_model, "load", lambda path: Model())
        patch.setattr(saved_model, "load", lambda path: Model())
        options = ["--model", str(folder), "--seconds", "0.1", "--output", str(folder / "figures.json")]
        patch.setattr(sys, "argv", ["serving", *options])
        assert serving.main() == 0
    rows = json.loads((folder / "figures.json").read_text())["rows"]
    return {row["row"]: row for row in rows}


def test_every_goal_is_one_of_a_figure_that_is_produced(figures):
    assert set(serving.GOALS) <= set(figures)
    for name, (goal, direction) in serving.GOALS.items():
        assert figures[name]["goal"] == f"{direction} {goal:g}"
        assert figures[name]["verdict"] in ("met", "NOT MET")


def test_every_figure_is_a_number_and_no_request_failed(figures):
    assert all(row["figure"] is not None and row["figure"] >= 0 for row in figures.values())
    for connections in ("1 connection", "16 connections", "64 connections"):
        assert figures[f"REST, {connections}: errors"]["figure"] == 0
        assert figures[f"REST, {connections}: requests/s"]["figure"] > 0


def test_without_a_model_nothing_is_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["serving", "--model", str(tmp_path / "nothing")])
    assert serving.main() == 2
    assert "does not exist" in capsys.readouterr().err


def test_percentiles_are_in_milliseconds():
    seconds = [place / 1000 for place in range(1, 101)]
    assert serving.percentiles("step", seconds) == {
        "step: median ms": pytest.approx(50.5),
        "step: 99% ms": pytest.approx(100.0),
    }
