"""Scoring with a model that adapts: lines in order, as one text."""

import itertools
import json
import math

import numpy as np
import pytest

from components.evaluator.adaptive import evaluation
from components.evaluator.adaptive.settings import AdaptiveSettings
from components.evaluator.exported_model import ExportedModel
from pipeline import score
from pipeline.exit_codes import INTERRUPTED, USAGE_ERROR
from pipeline.scoring import adaptive
from tests.models.serving.exported import token_ids

LINES = [b"w1 w2 w3", b"", b"w1 w2 w3 w4 w5 w6 w7", b"never-seen w1", b"w2", b"", b""]
SETTINGS = {"cache": ["cache_lambda=0.3", "cache_window=9"], "dynamic": ["dynamic_eta=0.01", "dynamic_segment=4"]}


@pytest.fixture
def model(versions):
    return versions


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_bytes(b"\n".join(LINES * 30) + b"\n")
    (tmp_path / "train.txt").write_bytes(b"w1 w2 w9 w4\nw3 w3 w20\n" * 40)
    return tmp_path / "text.txt"


def arguments(text, mode, output):
    more = ["--gradient-text", str(text.with_name("train.txt"))] if mode == "dynamic" else []
    settings = [part for setting in SETTINGS[mode] for part in ("--setting", setting)]
    return [str(text), "--output", str(output), "--adaptive", mode, *settings, *more]


def run(model, *more):
    return score.main([*map(str, more), "--model", str(model)])


@pytest.mark.parametrize("mode", ["cache", "dynamic"])
def test_each_line_gets_its_part_of_the_text(model, text, tmp_path, capsys, mode):
    output = tmp_path / "scores.jsonl"
    assert run(model, *arguments(text, mode, output)) == 0
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["num_tokens"] for line in found] == [len(line.split()) + 1 if line else 0 for line in LINES * 30]
    assert found[1] == {"log_probability": 0.0, "num_tokens": 0, "perplexity": 1.0}

    ids, train = (np.array(token_ids(t.read_text()), np.int32) for t in (text, text.with_name("train.txt")))
    settings = AdaptiveSettings.model_validate_strings(dict(setting.split("=") for setting in SETTINGS[mode]))
    reader = evaluation.make_reader(mode, ExportedModel(model / "1"), train, settings)
    expected = np.concatenate(list(evaluation.log_probabilities(reader, [ids])))
    ends = np.cumsum([line["num_tokens"] for line in found])
    totals = np.diff(np.concatenate([[0], np.concatenate([[0], expected.cumsum()])[ends]]))
    np.testing.assert_allclose([line["log_probability"] for line in found], totals, rtol=1e-4, atol=1e-5)
    assert f"Perplexity of the whole text: {math.exp(-expected.mean()):.3f}" in capsys.readouterr().err


def test_an_interrupted_command_gives_the_same_lines(model, text, tmp_path, monkeypatch):
    whole, output = tmp_path / "whole.jsonl", tmp_path / "scores.jsonl"
    assert run(model, *arguments(text, "cache", whole)) == 0
    real = adaptive.AdaptiveScorer.score

    def interrupted(self, lines):
        yield from itertools.islice(real(self, lines), 79)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(adaptive.AdaptiveScorer, "score", interrupted)
        assert run(model, *arguments(text, "cache", output)) == INTERRUPTED
    assert len((tmp_path / "scores.jsonl.part").read_text().splitlines()) == 64
    other = [*arguments(text, "cache", output), "--setting", "cache_theta=2.0"]
    assert run(model, *other) == USAGE_ERROR  # begun with other settings
    assert run(model, *arguments(text, "cache", output)) == 0
    assert output.read_text() == whole.read_text()


def test_lines_of_standard_input_or_another_training_text_are_not_resumed(model, text, tmp_path, monkeypatch, capsys):
    def interrupted(self, lines):
        yield from ['{"num_tokens": 1}'] * adaptive_lines
        raise KeyboardInterrupt

    adaptive_lines = score.ADAPTIVE_LINES_AT_ONCE
    piped = ["-", "--output", tmp_path / "piped.jsonl", "--adaptive", "cache"]
    dynamic = arguments(text, "dynamic", tmp_path / "scores.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(adaptive.AdaptiveScorer, "score", interrupted)
        assert run(model, *piped) == run(model, *dynamic) == INTERRUPTED
    capsys.readouterr()
    assert run(model, *piped) == USAGE_ERROR and "which may be another text now" in capsys.readouterr().err
    text.with_name("train.txt").write_bytes(b"w4 w5\n" * 40)
    assert run(model, *dynamic) == USAGE_ERROR and "begun with other files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--adaptive", "dynamic"], "--gradient-text"),
        (["--adaptive", "cache", "--gradient-text", "x"], "--gradient-text"),
        (["--setting", "cache_lambda=0.2"], "--adaptive"),
        (["--adaptive", "cache", "--beam-arg=--runner=FnApiRunner"], "--beam-arg"),
        (["--adaptive", "memory"], "invalid choice"),
    ],
)
def test_options_that_do_not_go_together_are_bad_usage(text, tmp_path, capsys, more, words):
    with pytest.raises(SystemExit) as error:
        score.main([str(text), "--output", str(tmp_path / "scores.jsonl"), *more])
    assert error.value.code == USAGE_ERROR and words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("cache_lamda=0.2", "--setting cache_lamda: expected one of cache_lambda, cache_theta, cache_window"),
        ("dynamic_eta=0.2", "--setting dynamic_eta: expected one of cache_lambda"),
        ("cache_lambda=1.5", "--setting cache_lambda: found '1.5'"),
        ("cache_window=", "--setting cache_window: found ''"),
        ("cache_window=99999999999999999999", "--setting cache_window: found '99999999999999999999'"),
        ("cache_theta=inf", "--setting cache_theta: found 'inf'"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_read(model, text, tmp_path, capsys, setting, words):
    more = ["--output", tmp_path / "scores.jsonl", "--adaptive", "cache", "--setting", setting]
    assert run(model, text, *more) == USAGE_ERROR
    assert words in capsys.readouterr().err and not list(tmp_path.glob("scores*"))


def test_a_model_that_cannot_be_loaded_is_refused_by_name(text, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"no graph")
    assert run(tmp_path / "model", *arguments(text, "cache", tmp_path / "scores.jsonl")) == USAGE_ERROR
    assert str(tmp_path / "model") in capsys.readouterr().err and not list(tmp_path.glob("scores*"))


def test_training_text_without_a_word_is_refused(model, text, tmp_path, capsys):
    text.with_name("train.txt").write_text("\n\n")
    assert run(model, *arguments(text, "dynamic", tmp_path / "scores.jsonl")) == USAGE_ERROR
    assert "train.txt holds no text" in capsys.readouterr().err and not list(tmp_path.glob("scores*"))
