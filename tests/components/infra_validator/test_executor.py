"""InfraValidator: good models pass, and every kind of wrong answer is noticed."""

import ast
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from components.base import Channel, ComponentError, Context
from components.infra_validator import executor, probe, probed_model
from components.infra_validator.component import InfraValidator
from components.infra_validator.probed_model import ProbedModel, Wrong
from models.text.token_stream import TokenWriter, write_index
from tests.components.examples_artifact import write_texts
from tests.models.serving.exported import WORDS, export_and_load, make_model, token_ids

TEXT = "w1 w2 w3\n\nw4 zebra w5\n" * 30


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    export_and_load(folder, make_model())
    return folder / "saved_model"


@pytest.fixture
def inputs(tmp_path, exported):
    """A model that was exported well, and the eval split."""
    shutil.copytree(exported, tmp_path / "model" / "Format-Serving")
    write_texts(tmp_path / "examples", chunk_bytes=100, eval=TEXT.encode())
    write_tokens(tmp_path / "tokens" / "Split-eval", token_ids(TEXT))
    return {
        "model": tmp_path / "model",
        "examples": tmp_path / "examples",
        "transformed_examples": tmp_path / "tokens",
    }


def write_tokens(folder, ids):
    folder.mkdir(parents=True, exist_ok=True)
    with TokenWriter(folder / "tokens-00000-of-00001") as writer:
        writer.write(np.array(ids, np.int32))
    write_index(folder, [("tokens-00000-of-00001", writer.counts)])


def validate(inputs, tmp_path, **parameters):
    """Figures, and the blessing as (file name, text)."""
    blessing = tmp_path / "blessing"
    blessing.mkdir()
    component = InfraValidator.Parameters(**parameters)
    figures = executor.execute(inputs, {"blessing": blessing}, component, Context("run", tmp_path / "workspace"))
    (verdict,) = blessing.glob("INFRA_*")
    return figures, verdict.name, verdict.read_text()


def test_a_good_model_answers_every_request(inputs, tmp_path):
    figures, verdict, text = validate(inputs, tmp_path, max_latency_ms=60_000)
    assert figures["blessed"] and verdict == "INFRA_BLESSED" and "requests answered" in text
    assert 0 < figures["latency_ms"] < 60_000 and figures["failed_request"] is None
    requests = json.loads((tmp_path / "blessing" / "requests.json").read_text())
    assert len(requests) == figures["requests"] and not any(request["failure"] for request in requests)
    asked = {request["request"] for request in requests}
    for signature in ("score", "serving_default", "generate"):
        assert {f"{signature}, {name}" for name in probe.AWKWARD} <= asked
        assert f"{signature}, a batch of 512" in asked
        assert any(name.startswith(signature) and f"{probe.LONG_TEXT_WORDS:,} words" in name for name in asked)
    assert "generate, {'temperature': nan} is refused" in asked and "step, no such word is refused" in asked


def test_a_model_that_answers_with_nan_is_refused_with_the_request(inputs, tmp_path):
    model = make_model()
    model.embedding.embeddings.assign(model.embedding.embeddings.numpy() * np.nan)
    export_and_load(tmp_path / "broken", model)
    (tmp_path / "broken" / "saved_model").rename(tmp_path / "broken" / "Format-Serving")
    figures, verdict, text = validate(inputs | {"model": tmp_path / "broken"}, tmp_path)
    assert not figures["blessed"] and verdict == "INFRA_NOT_BLESSED"
    assert text.startswith("score, a batch of 1: ") and "has numbers that are not finite" in text
    assert figures["failed_request"] in text


def test_a_model_that_cannot_be_loaded_is_refused(inputs, tmp_path):
    (inputs["model"] / "Format-Serving" / "saved_model.pb").write_bytes(b"not a model")
    figures, verdict, text = validate(inputs, tmp_path)
    assert not figures["blessed"] and figures["latency_ms"] is None
    assert verdict == "INFRA_NOT_BLESSED" and text.startswith("loading the model: raised")


def test_a_tokenizer_that_disagrees_with_transform_is_refused(inputs, tmp_path):
    write_tokens(inputs["transformed_examples"] / "Split-eval", [WORDS.index("w7"), *token_ids(TEXT)[1:]])
    figures, _, text = validate(inputs, tmp_path)
    assert not figures["blessed"]
    assert text == "score, against the Evaluator: the exported tokenizer gives other tokens than Transform\n"


def probe_with(monkeypatch, tmp_path, script):
    monkeypatch.setattr(executor, "PROBE", tmp_path / "probe.py")
    executor.PROBE.write_text("import json, os, sys, time\n" + script)


def test_a_slow_model_is_refused_with_the_key_to_change(monkeypatch, inputs, tmp_path):
    probe_with(monkeypatch, tmp_path, 'print(json.dumps({"latency_ms": 12.5}))')
    figures, _, text = validate(inputs, tmp_path, max_latency_ms=10)
    assert not figures["blessed"] and figures["latency_ms"] == 12.5
    assert "12.5 ms" in text and "infra_validator.max_latency_ms = 10" in text


def test_a_refusal_is_measured_again_by_the_next_run(tmp_path):
    channels = {key: Channel("Before", key, kind) for key, kind in InfraValidator.INPUTS.items()}
    component = InfraValidator(InfraValidator.Parameters(), **channels)
    for name, valid in (("INFRA_NOT_BLESSED", False), ("INFRA_BLESSED", True)):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        assert component.still_valid({"blessing": tmp_path / name}) is valid


def test_latency_without_a_limit_is_reported_only(monkeypatch, inputs, tmp_path):
    probe_with(monkeypatch, tmp_path, 'print(json.dumps({"latency_ms": 5000.0}))')
    figures, verdict, _ = validate(inputs, tmp_path, max_latency_ms=0)
    assert figures["blessed"] and figures["latency_ms"] == 5000.0 and verdict == "INFRA_BLESSED"


def test_a_crash_is_reported_with_the_request_that_caused_it(monkeypatch, inputs, tmp_path):
    begin = 'print(json.dumps({"begin": "score, emoji"}), flush=True)\n'
    probe_with(monkeypatch, tmp_path, begin + 'sys.exit("out of cheese")')
    _, verdict, text = validate(inputs, tmp_path)
    assert verdict == "INFRA_NOT_BLESSED"
    assert text.startswith("score, emoji: the serving process ended with exit code 1.") and "out of cheese" in text


def test_a_request_without_an_answer_fails_after_the_timeout(monkeypatch, tmp_path):
    probe_with(monkeypatch, tmp_path, 'print(json.dumps({"begin": "generate, NUL"}), flush=True)\ntime.sleep(60)')
    probed = executor.probe(tmp_path, tmp_path, timeout_seconds=1)
    assert probed.failures == [("generate, NUL", "no answer after 1 seconds of requests in all")]


def test_the_probe_sees_nothing_of_where_it_was_started(monkeypatch, tmp_path):
    (tmp_path / "neighbour.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    probe_with(monkeypatch, tmp_path, "import neighbour")
    (failure,) = executor.probe(tmp_path, tmp_path).failures
    assert "No module named 'neighbour'" in failure[1]


@pytest.mark.parametrize("module", [probe, probed_model])
def test_the_probe_imports_nothing_of_this_project(module):
    nodes = [node for node in ast.walk(ast.parse(Path(module.__file__).read_text())) if isinstance(node, ast.stmt)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    assert "tensorflow" in names
    assert not {name.partition(".")[0] for name in names} & {"", "models", "components", "pipeline"}


def test_an_eval_split_without_text_is_an_error(inputs, tmp_path):
    empty = write_texts(tmp_path / "empty", eval=b"\n\n")
    with pytest.raises(ComponentError, match="Split-eval has no text"):
        executor.write_sample(tmp_path, empty, inputs["transformed_examples"], "eval")


def answering(**answers):
    """A model whose signatures give these answers."""
    signatures = {
        name: lambda answer=answer, **_: {key: tf.constant(value) for key, value in answer.items()}
        for name, answer in answers.items()
    }
    return ProbedModel(SimpleNamespace(signatures=signatures), [word.encode() for word in WORDS])


def scores(**changes):
    return {
        "tokens": [[b"w1", b"<eos>"]],
        "token_log_probabilities": np.array([[-1.0, -2.0]], np.float32),
        "log_probability": np.array([-3.0], np.float32),
        "num_tokens": np.array([2], np.int32),
        "perplexity": np.array([np.exp(1.5)], np.float32),
    } | changes


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"token_log_probabilities": np.array([[-1.0, 0.5]], np.float32)}, "above 0"),
        ({"log_probability": np.array([-4.0], np.float32)}, "not the sum"),
        ({"perplexity": np.array([1.5], np.float32)}, "does not follow"),
        ({"perplexity": np.array([np.inf], np.float32)}, "not finite"),
        ({"perplexity": np.array([np.exp(1.5)], np.float64)}, "not float32"),
        ({"num_tokens": np.array([1], np.int32)}, "shapes"),
        ({"tokens": [[b"w1", b""]]}, "does not count"),
    ],
)
def test_wrong_scores_are_noticed(changes, complaint):
    assert answering(score=scores()).score([b"w1"])
    with pytest.raises(Wrong, match=complaint):
        answering(score=scores(**changes)).score([b"w1"])


@pytest.mark.parametrize(
    "words, probabilities, complaint",
    [
        (WORDS[2:11], np.full(9, 0.05), "shapes"),
        (WORDS[2:12], np.linspace(0.01, 0.1, 10), "not sorted"),
        (WORDS[2:12], np.full(10, 0.2), "out of range"),
        (WORDS[1:11], np.full(10, 0.05), "a reserved symbol"),
        ([*WORDS[2:11], "w0"], np.full(10, 0.05), "offered twice"),
    ],
)
def test_wrong_next_words_are_noticed(words, probabilities, complaint):
    answer = {"words": [words], "probabilities": np.array([probabilities], np.float32)}
    with pytest.raises(Wrong, match=complaint):
        answering(serving_default=answer).next_words([b"w1"])


@pytest.mark.parametrize("text, complaint", [("a <unk>", "<unk> was written"), ("a b c", "more than 2 words")])
def test_wrong_continuations_are_noticed(text, complaint):
    with pytest.raises(Wrong, match=complaint):
        answering(generate={"text": [text]}).generate([b"w1"], max_words=2)


def test_probabilities_that_do_not_sum_to_one_are_noticed():
    state = np.zeros([1, 2, 2, 16], np.float32)
    answer = {"log_probabilities": np.full([1, 40], np.log(1 / 39), np.float32), "state": state}
    with pytest.raises(Wrong, match="sum to 1.02"):
        answering(step=answer).step([1], state)


def test_a_missing_signature_is_named():
    with pytest.raises(Wrong, match="no signature 'score'"):
        answering().score([b"w1"])


def test_an_answer_to_an_impossible_request_is_noticed():
    with pytest.raises(Wrong, match="answered, expected to be refused"):
        probe.refuses(lambda: b"some text")
