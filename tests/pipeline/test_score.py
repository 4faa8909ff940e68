"""Bulk scoring: a JSON object for each line, in order, complete or resumable."""

import gzip
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from models.serving import export
from models.text.tokenizer import Tokenizer
from pipeline import score
from pipeline.exit_codes import FAILED, INTERRUPTED, USAGE_ERROR
from pipeline.scoring import scorer, with_beam
from pipeline.scoring.lines import LineReader
from pipeline.scoring.resumable import ResumableOutput
from pipeline.scoring.scorer import batches_of
from tests.models.serving.exported import WORDS, make_model
from tests.pipeline.server.serving_folder import push

LINES = ["w1 w2", "", "w3 never-seen w4 " * 40, "  ", "w5", "café w1\r", *(f"w{i % 30} w2 w3" for i in range(60)), "w7"]


@pytest.fixture(scope="module")
def model(exported_models, tmp_path_factory):
    """A folder of one version."""
    folder = tmp_path_factory.mktemp("model")
    push(exported_models / "first", folder, 1)
    return folder


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\n".join(LINES).encode())  # no newline at the end
    return path


def run(model, *arguments):
    return score.main([*map(str, arguments), "--model", str(model)])


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def same(found, expected):
    assert [line["num_tokens"] for line in found] == [line["num_tokens"] for line in expected]
    for key in ("log_probability", "perplexity"):
        np.testing.assert_allclose([line[key] for line in found], [line[key] for line in expected], rtol=1e-4)


def test_each_line_gets_what_the_model_says_of_it_in_order(model, text, tmp_path):
    assert run(model, text, "--output", tmp_path / "scores.jsonl") == 0
    found = read(tmp_path / "scores.jsonl")
    outputs = tf.saved_model.load(str(model / "1")).signatures["score"](text=tf.constant(LINES))
    same(found, [
        {"log_probability": log, "num_tokens": tokens, "perplexity": perplexity}
        for log, tokens, perplexity in zip(
            *(outputs[key].numpy() for key in ("log_probability", "num_tokens", "perplexity")), strict=True
        )
    ])  # fmt: skip
    assert found[1] == {"log_probability": 0.0, "num_tokens": 0, "perplexity": 1.0}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("scores")] == ["scores.jsonl"]


@pytest.mark.parametrize("more", [[], ["--adaptive", "cache"]])
def test_a_blank_line_has_its_eos_where_the_model_keeps_blank_lines(tmp_path, more):
    (tmp_path / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = Tokenizer("whitespace", False, True, tmp_path / "vocabulary.txt")
    export.export(make_model(), tokenizer, tmp_path / "model", {})
    (tmp_path / "text.txt").write_text("\n w1 w2 \n\n \nw3")
    assert run(tmp_path / "model", tmp_path / "text.txt", "--output", tmp_path / "scores.jsonl", *more) == 0
    assert [line["num_tokens"] for line in read(tmp_path / "scores.jsonl")] == [1, 3, 1, 1, 2]


def test_gzip_and_standard_input_and_several_files(model, text, tmp_path, monkeypatch):
    (tmp_path / "text.bin").write_bytes(gzip.compress(text.read_bytes()))  # recognised by its bytes, not by its name
    standard_input = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"w1 w2\nw5\n")))
    monkeypatch.setattr(sys, "stdin", standard_input)
    assert run(model, text, tmp_path / "text.bin", "-", "--output", tmp_path / "scores.jsonl") == 0
    found = read(tmp_path / "scores.jsonl")
    assert len(found) == 2 * len(LINES) + 2
    same(found[: len(LINES)], found[len(LINES) : 2 * len(LINES)])
    same(found[-2:], [found[0], found[4]])


def test_an_interrupted_command_resumes_after_the_last_complete_line(model, text, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(score, "LINES_AT_ONCE", 10)
    output = tmp_path / "scores.jsonl"
    real, calls = scorer.Scorer.score, []

    def interrupted(self, lines):
        calls.append(len(lines))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, lines)

    monkeypatch.setattr(scorer.Scorer, "score", interrupted)
    assert run(model, text, "--output", output) == INTERRUPTED
    assert not output.exists()
    with (tmp_path / "scores.jsonl.part").open("ab") as part:
        part.write(b'{"log_probability": -1')  # as a kill leaves it
    assert run(model, text, "--output", output) == 0
    assert "after the 20 lines" in capsys.readouterr().err
    assert sum(calls[3:]) == len(LINES) - 20
    monkeypatch.undo()
    assert run(model, text, "--output", tmp_path / "again.jsonl") == 0
    same(read(output), read(tmp_path / "again.jsonl"))


def test_lines_of_other_inputs_are_not_resumed(model, text, tmp_path, capsys):
    output = tmp_path / "scores.jsonl"
    ResumableOutput(output, {"files": ["another"]}).append(["{}"])
    assert run(model, text, "--output", output) == USAGE_ERROR
    assert "begun with other files or another model" in capsys.readouterr().err
    output.write_text("")
    assert run(model, text, "--output", output) == USAGE_ERROR
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--adaptive", "cache"]])
def test_a_model_that_cannot_be_loaded_is_bad_usage_and_leaves_nothing(model, text, tmp_path, capsys, more):
    damaged = tmp_path / "damaged" / "1"
    shutil.copytree(model / "1", damaged)
    (damaged / "saved_model.pb").write_bytes(b"half a graph")
    folder = tmp_path / "scores"
    folder.mkdir()
    assert run(damaged.parent, text, "--output", folder / "scores.jsonl", *more) == USAGE_ERROR
    assert f"{damaged} cannot be loaded" in capsys.readouterr().err and not list(folder.iterdir())


def start(model, *arguments, **options):
    """Runs the command in its own process."""
    command = [sys.executable, "-m", "pipeline.score", *map(str, arguments), "--model", str(model)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_of_two_commands_with_one_output_the_second_is_refused_by_name(model, tmp_path):
    text, output = tmp_path / "long.txt", tmp_path / "scores.jsonl"
    text.write_text("w1 w2 w3 w4 w5\n" * 60_000)
    first = start(model, text, "--output", output)
    part = tmp_path / "scores.jsonl.part"
    try:
        wait_for(lambda: part.exists() and part.stat().st_size > 0)
        second = start(model, text, "--output", output)
        error = second.communicate(timeout=60)[1]
        assert second.returncode == USAGE_ERROR
        assert f"scores.jsonl is being written by another command (process {first.pid})" in error
        first.communicate(timeout=120)
        assert first.returncode == 0
    finally:
        first.kill()
    assert len(read(output)) == 60_000
    assert {path.name for path in tmp_path.iterdir()} == {"long.txt", "scores.jsonl"}


def test_standard_input_is_not_resumed_on_another_text(model, tmp_path):
    output, part = tmp_path / "scores.jsonl", tmp_path / "scores.jsonl.part"
    killed = start(model, "-", "--output", output, stdin=subprocess.PIPE)
    killed.stdin.write("w1 w2 w3\n" * 10_000)
    killed.stdin.flush()
    wait_for(lambda: part.exists() and part.stat().st_size > 0)
    killed.kill()
    killed.communicate()
    scored = part.read_bytes()
    other = start(model, "-", "--output", output, stdin=subprocess.PIPE)
    error = other.communicate("w7\n" * 3, timeout=60)[1]
    assert other.returncode == USAGE_ERROR and "which may be another text now" in error and str(part) in error
    assert part.read_bytes() == scored[: scored.rfind(b"\n") + 1] and not output.exists()
    part.unlink()
    (tmp_path / "scores.jsonl.part.json").unlink()
    fresh = start(model, "-", "--output", output, stdin=subprocess.PIPE)
    fresh.communicate("w7\n" * 3, timeout=60)
    assert fresh.returncode == 0 and len(read(output)) == 3


def test_a_killed_command_leaves_no_lock_and_its_lines_are_resumed(model, tmp_path):
    text, output = tmp_path / "long.txt", tmp_path / "scores.jsonl"
    text.write_text("".join(f"w{i % 30} w2 w3\n" for i in range(30_000)))
    killed = start(model, text, "--output", output)
    part = tmp_path / "scores.jsonl.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 0)
    killed.kill()
    killed.communicate()
    assert run(model, text, "--output", output) == 0
    assert run(model, text, "--output", tmp_path / "again.jsonl") == 0
    assert output.read_bytes() == (tmp_path / "again.jsonl").read_bytes()


def test_a_full_disk_is_reported_and_scored_lines_are_kept(model, text, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(score, "LINES_AT_ONCE", 10)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit fails as one on a full disk
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, limit[1]))
        assert run(model, text, "--output", tmp_path / "scores.jsonl") == FAILED
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    error = capsys.readouterr().err
    assert "File too large" in error and "to resume" in error
    assert run(model, text, "--output", tmp_path / "scores.jsonl") == 0
    assert len(read(tmp_path / "scores.jsonl")) == len(LINES)


def test_beam_workers_refuse_standard_input_and_leave_nothing(model, tmp_path, capsys):
    assert run(model, "-", "--output", tmp_path / "scores.jsonl", "--beam-arg=--runner=FnApiRunner") == USAGE_ERROR
    assert "cannot be cut among workers" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_beam_gives_the_same_lines(model, text, tmp_path, monkeypatch):
    monkeypatch.setattr(with_beam, "CHUNK_BYTES", 300)
    (tmp_path / "text.gz").write_bytes(gzip.compress(text.read_bytes()))
    files = [text, tmp_path / "text.gz"]
    assert run(model, *files, "--output", tmp_path / "beam.jsonl", "--beam-arg=--runner=FnApiRunner") == 0
    assert run(model, *files, "--output", tmp_path / "local.jsonl") == 0
    same(read(tmp_path / "beam.jsonl"), read(tmp_path / "local.jsonl"))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"text.txt", "text.gz", "beam.jsonl", "local.jsonl"}


def test_beams_parts_of_another_text_are_not_used(model, text, tmp_path):
    """A command with workers was interrupted, then one without workers on another text."""
    output, chunks = tmp_path / "scores.jsonl", tmp_path / ".scores.jsonl.chunks"
    own = tmp_path / "scores.jsonl.parts"
    own.mkdir()
    chunks.mkdir()
    (chunks / "00000000.jsonl").write_text('{"num_tokens": 3}\n')
    (chunks / "made_from.json").write_text('{"files": [["other.txt", 3, 5]]}')
    parsed = score.parse_arguments([str(text), "--output", str(output), "--model", str(model)])
    begun = ResumableOutput(output, score._describe_sources(parsed, model / "1"))
    begun.append([json.dumps({"num_tokens": 3})])
    begun.close()
    assert run(model, text, "--output", output, "--beam-arg=--runner=FnApiRunner") == 0
    assert len(read(output)) == len(LINES) and not chunks.exists() and own.exists()


def test_a_command_that_was_killed_at_once_is_resumed(model, text, tmp_path):
    (tmp_path / "scores.jsonl.part").touch()  # its description was not written yet
    assert run(model, text, "--output", tmp_path / "scores.jsonl") == 0
    assert len(read(tmp_path / "scores.jsonl")) == len(LINES)
    (tmp_path / "others.jsonl.part").write_text("{}\n")
    assert run(model, text, "--output", tmp_path / "others.jsonl") == USAGE_ERROR


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_chunks_hold_each_line_once_wherever_they_are_cut(text, monkeypatch, size):
    monkeypatch.setattr(with_beam, "CHUNK_BYTES", size)
    found = [line for chunk in with_beam.chunks_of([str(text)]) for line in with_beam.read(chunk)]
    assert found == list(LineReader(str(text)))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("missing", None, "does not exist"), ("folder", "folder", "is a folder")],
)
def test_a_bad_input_is_refused_before_the_model_is_loaded(model, tmp_path, capsys, name, content, words):
    if content:
        (tmp_path / name).mkdir()
    assert run(model, tmp_path / name, "--output", tmp_path / "scores.jsonl") == USAGE_ERROR
    assert words in capsys.readouterr().err and not (tmp_path / "scores.jsonl.part").exists()
    (tmp_path / "scores.jsonl.part").write_text("")  # of an earlier command, to which the mistake makes no difference
    assert run(model, tmp_path / name, "--output", tmp_path / "scores.jsonl") == USAGE_ERROR


def test_a_pipe_is_refused_with_a_word_on_standard_input(model, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert run(model, tmp_path / "pipe", "--output", tmp_path / "scores.jsonl") == USAGE_ERROR
    assert "is not a regular file" in (error := capsys.readouterr().err) and "- for standard input" in error


def test_a_broken_gzip_file_is_reported_and_leaves_no_output(model, text, tmp_path, capsys):
    (tmp_path / "text.gz").write_bytes(gzip.compress(text.read_bytes())[:-20])
    assert run(model, tmp_path / "text.gz", "--output", tmp_path / "scores.jsonl") == FAILED
    assert "text.gz is not whole" in capsys.readouterr().err
    assert not (tmp_path / "scores.jsonl").exists()


def test_batches_hold_lines_of_about_the_same_length(monkeypatch):
    monkeypatch.setattr(scorer, "MAX_BATCH_LINES", 3)
    monkeypatch.setattr(scorer, "MAX_PADDED_BYTES", 20)
    assert batches_of([]) == []
    assert batches_of([1, 1, 2, 2, 9, 11, 50]) == [(0, 3), (3, 5), (5, 6), (6, 7)]
