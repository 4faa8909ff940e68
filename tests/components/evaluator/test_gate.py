"""The gate's decisions, rule by rule, and how it finds the model to beat."""

import math

import numpy as np
import pydantic
import pytest

from components.base import ComponentError
from components.evaluator import baseline, gate
from components.evaluator.component import Evaluator, GateRule
from components.evaluator.figures import comparison

FIGURES = {
    name: {
        "perplexity": 100.0,
        "unigram_perplexity": 600.0,
        "top_1_accuracy": 0.25,
        "slices": {"line_length": {"2-5": {"perplexity": 80.0, "top_1_accuracy": 0.3}}},
    }
    for name in ("eval", "test")
}


def _judge(figures=FIGURES, mismatched=0, compared=None, theirs=None, in_words="no pushed version", **parameters):
    return gate.judge(Evaluator.Parameters(**parameters), figures, mismatched, compared, theirs or {}, in_words)


def _verdict(rule, verdicts):
    return next(verdict for verdict in verdicts if verdict.rule.startswith(rule))


def _figures(**changes):
    return {**FIGURES, "eval": {**FIGURES["eval"], **changes}}


def _compared(change, low, high, metric="perplexity"):
    return comparison.Comparison(metric, 100 * (1 + change), 100.0, change, low, high)


def test_a_good_model_passes_every_rule_without_a_baseline():
    verdicts = _judge(max_perplexity=120)
    assert [verdict.verdict for verdict in verdicts] == ["passed"] * 4
    assert "no pushed version" in _verdict("evaluator.max_regression", verdicts).reason


def test_perplexity_above_the_limit_is_refused_and_the_reason_says_by_how_much():
    verdict = _verdict("evaluator.max_perplexity", _judge(max_perplexity=80))
    assert verdict.verdict == "refused" and verdict.split == "eval"
    assert "100.00 exceeds by 20.00 (25.0%) the limit 80.00" in verdict.reason


def test_a_model_no_better_than_word_frequencies_is_refused():
    assert _verdict("unigram", _judge(_figures(perplexity=600.0))).verdict == "refused"


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_perplexity_that_is_not_a_number_never_passes(broken):
    verdicts = _judge(_figures(perplexity=broken), max_perplexity=1e9)
    assert _verdict("evaluator.max_perplexity", verdicts).verdict == "refused"
    assert _verdict("unigram", verdicts).verdict == "refused"


def test_an_exported_tokenizer_that_reads_other_ids_is_refused():
    verdict = _verdict("tokenizer", _judge(mismatched=17))
    assert verdict.verdict == "refused" and "17 tokens" in verdict.reason


@pytest.mark.parametrize(
    ("change", "low", "high", "verdict", "undecided"),
    [
        (0.05, 0.03, 0.07, "refused", False),  # even the better end regresses by more than 2%
        (-0.05, -0.07, -0.03, "passed", False),
        (0.01, 0.005, 0.015, "passed", False),  # worse, but within what is allowed
        (0.015, -0.01, 0.04, "passed", True),  # the limit is inside: the point estimate decides
        (0.025, 0.0, 0.05, "refused", True),
        (0.01, None, None, "passed", True),
    ],
)
def test_regression_is_judged_on_the_interval(change, low, high, verdict, undecided):
    judged = _verdict(
        "evaluator.max_regression", _judge(compared=_compared(change, low, high), in_words="the pushed version 3")
    )
    assert (judged.verdict, judged.undecided) == (verdict, undecided)
    assert judged.reason.startswith("The pushed version 3 has 100.00 perplexity")
    assert ("undecided" in judged.reason) == undecided


def test_the_reason_mentions_another_vocabulary():
    verdicts = _judge(compared=_compared(0.1, 0.05, 0.15, "bits_per_character"))
    assert "bits per character" in _verdict("evaluator.max_regression", verdicts).reason


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ({"metric": "perplexity", "slice": "line_length:2-5", "max": 90}, "passed"),
        ({"metric": "perplexity", "slice": "line_length:2-5", "max": 70}, "refused"),
        ({"metric": "top_1_accuracy", "split": "test", "min": 0.2}, "passed"),
        ({"metric": "top_1_accuracy", "min": 0.5}, "refused"),
    ],
)
def test_rules_with_bounds(rule, verdict):
    assert _verdict("evaluator.rules[0]", _judge(rules=[rule])).verdict == verdict


def test_a_slice_without_tokens_is_refused_with_a_reason():
    verdict = _verdict(
        "evaluator.rules[0]", _judge(rules=[GateRule(metric="perplexity", slice="line_length:41+", max=9)])
    )
    assert verdict.verdict == "refused" and "no tokens" in verdict.reason


def test_a_document_that_has_no_slice_is_refused_with_a_reason():
    slices = {"document": {"a.txt": {"perplexity": 80.0}, "b.txt": {"perplexity": 90.0}}}
    rules = [GateRule(metric="perplexity", slice="document:small.txt", max=200)]
    verdict = _verdict("evaluator.rules[0]", _judge(_figures(slices=slices), rules=rules))
    assert verdict.verdict == "refused" and "'small.txt' is not among the 20 largest documents" in verdict.reason
    rules = [GateRule(metric="perplexity", slice="document:(others)", max=200)]
    verdict = _verdict("evaluator.rules[0]", _judge(_figures(slices=slices), rules=rules))
    assert verdict.verdict == "refused" and "the eval split has at most 20 documents" in verdict.reason


def test_a_slice_that_another_tokenizer_leaves_out_is_refused_not_an_error():
    rules = [GateRule(metric="perplexity", slice="document:a.txt", max=200)]
    verdicts = _judge(mismatched=3, rules=rules)
    assert _verdict("tokenizer", verdicts).verdict == "refused"
    verdict = _verdict("evaluator.rules[0]", verdicts)
    assert verdict.verdict == "refused" and verdict.limit == 200 and "exported tokenizer" in verdict.reason
    with pytest.raises(ComponentError, match="the eval split is one document"):
        _judge(rules=rules)


@pytest.mark.parametrize(
    ("metric", "theirs", "verdict"),
    [
        ("perplexity", 99.0, "passed"),
        ("perplexity", 90.0, "refused"),
        ("top_1_accuracy", 0.26, "passed"),  # a twenty-fifth less
        ("top_1_accuracy", 0.30, "refused"),
        ("top_1_accuracy", 0.10, "passed"),
    ],
)
def test_rules_against_the_baseline(metric, theirs, verdict):
    rule = {"metric": metric, "max_change": 0.05}
    assert _verdict("evaluator.rules[0]", _judge(theirs=_figures(**{metric: theirs}), rules=[rule])).verdict == verdict


@pytest.mark.parametrize(("without", "verdict"), [("pass", "passed"), ("refuse", "refused")])
def test_a_rule_against_the_baseline_says_what_holds_without_one(without, verdict):
    rule = {"metric": "perplexity", "max_change": 0.05, "without_baseline": without}
    judged = _verdict("evaluator.rules[0]", _judge(rules=[rule]))
    assert judged.verdict == verdict and "no pushed version" in judged.reason


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"metric": "perplexitty", "max": 3}, "'perplexity'"),
        ({"metric": "perplexity"}, "exactly one of"),
        ({"metric": "perplexity", "max": 3, "min": 2}, "exactly one of"),
        ({"metric": "perplexity", "max": 3, "slice": "line_lengths:2-5"}, "line_length:2-5"),
        ({"metric": "bits_per_character", "max": 3, "slice": "line_length:2-5"}, "only for a whole split"),
    ],
)
def test_rules_that_cannot_be_judged_are_configuration_errors(rule, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        Evaluator.Parameters(rules=[rule])


def test_the_refusing_rule_is_named_first():
    first, *others = gate.reasons(_judge(max_perplexity=80))
    assert first.startswith("refused: evaluator.max_perplexity: The eval perplexity")
    assert all(reason.startswith("passed: ") for reason in others)


def _version(folder, contents, card="run 1"):
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(contents)
    (folder / "assets.extra" / "model_card.json").write_text(card)
    return folder


def test_baseline_is_the_newest_version_that_is_not_the_candidate(tmp_path):
    candidate = _version(tmp_path / "candidate", "new")
    serving = tmp_path / "serving"
    assert baseline.find(serving, candidate) is None
    _version(serving / "9", "old")
    _version(serving / "10", "older, pushed again")
    _version(serving / "11", "new", card="pushed by another run")
    _version(serving / "12.tmp", "half a push")
    newest = baseline.find(serving, candidate)
    assert (newest.version, newest.path) == (10, serving / "10")


def test_evaluation_is_repeated_when_the_baseline_changes(tmp_path):
    inputs = {"model": tmp_path / "model"}
    candidate = _version(inputs["model"] / "Format-Serving", "new")
    component = _evaluator(serving_dir=tmp_path / "serving")
    states = [component.external_state(inputs)]
    for version, contents in enumerate(["old", "new", "newer"], start=1):
        _version(tmp_path / "serving" / str(version), contents)
        states.append(component.external_state(inputs))
    assert states[0] == {"baseline": None}
    assert states[1] == states[2] == {"baseline": baseline.digest(tmp_path / "serving" / "1")}
    assert states[3] not in states[:3]
    assert baseline.digest(candidate) == baseline.digest(tmp_path / "serving" / "2")


def _evaluator(**parameters):
    from components.base import Channel

    inputs = {key: Channel("Someone", key, kind) for key, kind in Evaluator.INPUTS.items()}
    return Evaluator(Evaluator.Parameters(**parameters), **inputs)


def test_intervals_of_a_worse_model_lie_above_zero():
    lengths = np.full(300, 20)
    nats = lengths * 5.0
    worse = comparison.by_perplexity(nats * 1.02, nats, lengths)
    assert 0 < worse.low <= worse.change <= worse.high
