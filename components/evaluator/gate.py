"""The gate: every rule that a model must pass before it is pushed, judged in one place.

The built-in rules are judged on the eval split, except `tokenizer`, which checks the text of both splits. A rule of the
configuration is judged on the split that it names.
"""

import math
from dataclasses import dataclass

from components.base import ComponentError
from components.evaluator.component import Evaluator, GateRule
from components.evaluator.figures.comparison import Comparison
from components.evaluator.figures.metrics import HIGHER_IS_BETTER
from components.evaluator.figures.slices import MAX_DOCUMENTS, OTHER_DOCUMENTS
from components.number_format import fixed

PASSED, REFUSED = "passed", "refused"


@dataclass(frozen=True)
class Verdict:
    """One line of the gate's table.

    Attributes:
        rule: The configuration key of the rule, or the built-in rule's name.
        split: The split that was judged.
        slice: The slice of the split, or None for all of it.
        value: The value that was judged; None if there was none.
        limit: The limit it was compared with; None if there was none.
        verdict: `passed` or `refused`.
        reason: The verdict as a sentence.
        undecided: Whether the limit lies within the 95% interval, so that the point estimate decided.
    """

    rule: str
    split: str
    slice: str | None
    value: float | None
    limit: float | None
    verdict: str
    reason: str
    undecided: bool = False


def judge(
    parameters: Evaluator.Parameters,
    candidate: dict[str, dict],
    mismatched_tokens: int,
    comparison: Comparison | None,
    baseline: dict[str, dict],
    baseline_name: str,
) -> list[Verdict]:
    """Applies every rule.

    Args:
        parameters: The Evaluator's parameters, with the rules.
        candidate: The candidate's figures, by split.
        mismatched_tokens: Number of tokens of both splits that the exported tokenizer reads differently from Transform.
        comparison: The candidate against the baseline, or None if there is no baseline.
        baseline: The baseline's figures by split; empty if there is no baseline or it reads the text into other ids.
        baseline_name: A description of the baseline, or of why there is none, for the reasons.

    Returns:
        One verdict for each rule, the built-in rules first.

    Raises:
        ComponentError: If a rule names a document's slice, but the split is one document.
    """
    verdicts = [_same_tokens(mismatched_tokens)]
    perplexity = candidate["eval"]["perplexity"]
    if parameters.max_perplexity is not None:
        verdicts.append(_max_perplexity(perplexity, parameters.max_perplexity))
    verdicts.append(_below_unigram(perplexity, candidate["eval"]["unigram_perplexity"]))
    verdicts.append(_max_regression(parameters.max_regression, comparison, baseline_name))
    for number, rule in enumerate(parameters.rules):
        name = f"evaluator.rules[{number}] {rule.metric}"
        if mismatched_tokens and rule.slice and rule.dimension not in candidate[rule.split]["slices"]:
            reason = f"The {_where(rule)} cannot be measured, since the exported tokenizer reads the text otherwise."
            verdicts.append(_of_rule(name, rule, None, False, reason))
        elif rule.max_change is None:
            verdicts.append(_bound(name, rule, candidate))
        else:
            verdicts.append(_change(name, rule, candidate, baseline, baseline_name))
    return verdicts


def _verdict(passed: bool) -> str:
    return PASSED if passed else REFUSED


def _of_rule(name: str, rule: GateRule, value: float | None, passed: bool, reason: str) -> Verdict:
    return Verdict(name, rule.split, rule.slice, value, rule.limit, _verdict(passed), reason)


def _same_tokens(mismatched: int) -> Verdict:
    reason = (
        "The exported tokenizer reads the text of both splits into the ids that the model was trained on."
        if mismatched == 0
        else f"The exported tokenizer reads {mismatched:,} tokens of both splits' text into other ids than "
        "Transform did: the exported model's vocabulary or tokenizer is not that of the training data."
    )
    return Verdict("tokenizer", "eval, test", None, mismatched, 0, _verdict(mismatched == 0), reason)


def _max_perplexity(value: float, limit: float) -> Verdict:
    passed = value <= limit
    relation = "does not exceed" if passed else f"exceeds by {excess(value, limit)}"
    reason = f"The eval perplexity {fixed(value)} {relation} the limit {fixed(limit)}."
    return Verdict("evaluator.max_perplexity", "eval", None, value, limit, _verdict(passed), reason)


def _below_unigram(value: float, limit: float) -> Verdict:
    passed = value < limit
    relation = "is below" if passed else "is not below"
    reason = f"The eval perplexity {fixed(value)} {relation} that of the words' bare frequencies, {fixed(limit)}."
    return Verdict("unigram", "eval", None, value, limit, _verdict(passed), reason)


def _max_regression(limit: float, comparison: Comparison | None, baseline_name: str) -> Verdict:
    rule = "evaluator.max_regression"
    if comparison is None:
        reason = f"Nothing to compare with: {baseline_name}."
        return Verdict(rule, "eval", None, None, limit, PASSED, reason)
    change, low, high = comparison.change, comparison.low, comparison.high
    if low is None:
        passed, undecided = change <= limit, True
        how = "undecided, as the split is a single line, or the two cut it into different lines"
    elif low > limit:
        passed, undecided, how = False, False, f"even the better end of its 95% interval {_span(low, high)} is beyond"
    elif high <= limit:
        passed, undecided, how = True, False, f"even the worse end of its 95% interval {_span(low, high)} is within"
    else:
        passed, undecided = change <= limit, True
        how = f"undecided, as the limit is inside its 95% interval {_span(low, high)}; the point estimate decides"
    metric = "perplexity"
    if comparison.metric == "bits_per_character":
        metric = "bits per character (the baseline has another vocabulary or tokenizer; unknown words spelled out)"
    reason = (
        f"{baseline_name[0].upper()}{baseline_name[1:]} has {fixed(comparison.baseline)} {metric} on the eval split, "
        f"the candidate {fixed(comparison.candidate)}: {change:+.2%}, {'within' if passed else 'beyond'} the "
        f"{limit:+.2%} allowed ({how})."
    )
    return Verdict(rule, "eval", None, change, limit, _verdict(passed), reason, undecided)


def _bound(name: str, rule: GateRule, candidate: dict[str, dict]) -> Verdict:
    value = _look_up(candidate, rule)
    if value is None:
        return _of_rule(name, rule, None, False, _no_tokens(rule))
    limit = rule.limit
    passed = value <= limit if rule.max is not None else value >= limit
    relation = "at most" if rule.max is not None else "at least"
    by = "" if passed else f", missed by {excess(value, limit)}"
    reason = f"The {_where(rule)} is {fixed(value)}; {relation} {fixed(limit)} is required{by}."
    return _of_rule(name, rule, value, passed, reason)


def _change(
    name: str, rule: GateRule, candidate: dict[str, dict], baseline: dict[str, dict], baseline_name: str
) -> Verdict:
    ours = _look_up(candidate, rule)
    if ours is None:
        return _of_rule(name, rule, None, False, _no_tokens(rule))
    theirs = _look_up(baseline, rule) if rule.split in baseline else None
    if theirs is None:
        reason = f"Nothing to compare the {_where(rule)} with: {baseline_name}. Without a baseline, this rule says "
        return _of_rule(name, rule, None, rule.without_baseline == "pass", f"{reason}{rule.without_baseline}.")
    worse = theirs - ours if rule.metric in HIGHER_IS_BETTER else ours - theirs
    change = worse / theirs if theirs else math.inf if worse > 0 else 0.0
    passed = change <= rule.max_change
    reason = (
        f"The {_where(rule)} is {fixed(ours)}, the baseline's {fixed(theirs)}: {change:+.2%} for the worse, "
        f"{'within' if passed else 'beyond'} the {rule.max_change:+.2%} allowed."
    )
    return _of_rule(name, rule, change, passed, reason)


def _look_up(figures: dict[str, dict], rule: GateRule) -> float | None:
    """The rule's metric; None where its slice has no tokens."""
    of_split = figures[rule.split]
    if rule.slice is None:
        return of_split[rule.metric]
    if rule.dimension not in of_split["slices"]:
        raise ComponentError(
            f"evaluator.rules: found the slice {rule.slice!r}, but the {rule.split} split is one document. Remove the "
            "rule, or name a slice of another dimension."
        )
    return of_split["slices"][rule.dimension].get(rule.bucket, {}).get(rule.metric)


def _where(rule: GateRule) -> str:
    slice_name = f", slice {rule.slice}" if rule.slice else ""
    return f"{rule.metric.replace('_', ' ')} on {rule.split}{slice_name}"


def _no_tokens(rule: GateRule) -> str:
    if rule.dimension == "document" and rule.bucket == OTHER_DOCUMENTS:
        return (
            f"The slice {rule.slice!r} does not exist: the {rule.split} split has at most {MAX_DOCUMENTS} documents, "
            "each with a slice of its own, so the rule cannot be shown to hold."
        )
    if rule.dimension == "document":
        return (
            f"The slice {rule.slice!r} does not exist: {rule.bucket!r} is not among the {MAX_DOCUMENTS} largest "
            f"documents of the {rule.split} split, which alone have one, so the rule cannot be shown to hold."
        )
    return f"The slice {rule.slice!r} has no tokens in the {rule.split} split, so the rule cannot be shown to hold."


def reasons(verdicts: list[Verdict]) -> list[str]:
    """Lists every rule's verdict and reason as a line, refusals first.

    Args:
        verdicts: What `judge` returned.
    """
    refusals_first = sorted(verdicts, key=lambda verdict: verdict.verdict == PASSED)
    return [f"{verdict.verdict}: {verdict.rule}: {verdict.reason}" for verdict in refusals_first]


def excess(value: float, limit: float) -> str:
    """Formats how far a value is from its limit: `1.50 (3.0%)`; without the percentage if the limit is 0.

    Args:
        value: The value.
        limit: The limit that it misses.
    """
    relative = f" ({abs(value - limit) / abs(limit):.1%})" if limit else ""
    return f"{fixed(abs(value - limit))}{relative}"


def _span(low: float, high: float) -> str:
    return f"[{low:+.2%}, {high:+.2%}]"
