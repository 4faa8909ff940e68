"""Judges the statistics of each split by the rules."""

import itertools
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components import base
from components.artifacts import frequent_words
from components.artifacts.splits import SPLITS, split_dir
from components.artifacts.statistics import ANOMALIES, SOURCES, STATISTICS
from components.example_validator import rules
from components.example_validator.component import previous_statistics


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: base.Parameters, context: base.Context
) -> dict[str, Any]:
    """Checks the statistics against the rules and stops the run if the data cannot be used.

    Args:
        inputs: `statistics` of StatisticsGen. Statistics of an earlier run in the same folder are read, too.
        outputs: `anomalies` receives `anomalies.json`: {"errors": [...], "warnings": [...]}, sentences for people.
        parameters: The limits of the rules, and the names of the rules that are errors.
        context: Not used.

    Returns:
        `errors` and `warnings` (their numbers) and, if there are any, `warning` (the first one).

    Raises:
        ComponentError: If there are errors; the message says what was found in which split, and what to do.
    """
    folder = inputs["statistics"]
    statistics = {split: STATISTICS.read(split_dir(folder, split)) for split in SPLITS}
    errors = [sentence for split, counts in statistics.items() for sentence in rules.empty(split, counts)]
    warnings = []
    broken = (
        _of_splits(statistics, parameters),
        _of_sources(folder, parameters),
        _of_run_before(folder, statistics["train"], parameters),
    )
    for rule, sentence in itertools.chain.from_iterable(broken):
        (errors if rule in parameters.errors else warnings).append(sentence)
    ANOMALIES.write(outputs["anomalies"], {"errors": errors, "warnings": warnings})
    if errors:
        for warning in warnings:  # a component that fails publishes nothing, so nobody else would show them
            logging.getLogger(__name__).warning(warning)
        raise base.ComponentError("\n".join(errors))
    return {"errors": len(errors), "warnings": len(warnings), **({"warning": warnings[0]} if warnings else {})}


def _of_splits(statistics: Mapping[str, rules.Statistics], limits: base.Parameters) -> Iterator[tuple[str, str]]:
    """Yields the broken rules of the splits as (rule, sentence); a rule has the name of its limit's key."""
    for split, counts in statistics.items():
        if counts["tokens"] == 0:
            continue
        by_rule = {
            "max_invalid_fraction": rules.invalid_bytes(split, counts, limits.max_invalid_fraction),
            "min_tokens": rules.tokens(split, counts, limits.min_tokens),
            "max_unk_share": rules.unknown(split, counts, limits.max_unk_share),
            "max_overlap": rules.overlap(split, counts, limits.max_overlap),
            "max_document_share": rules.document_share(split, counts, limits.max_document_share),
            "max_line_bytes": rules.long_line(split, counts, limits.max_line_bytes),
            "max_foreign_script": rules.foreign_script(split, counts, statistics["train"], limits.max_foreign_script),
        }
        yield from ((rule, sentence) for rule, sentences in by_rule.items() for sentence in sentences)


def _of_sources(folder: Path, limits: base.Parameters) -> Iterator[tuple[str, str]]:
    """Yields the broken rules of the corpus's files, if ExampleGen wrote `sources.json`."""
    if not SOURCES.is_in(folder):
        return
    sources = SOURCES.read(folder)
    for sentence in rules.invalid_files(sources["files"], limits.max_invalid_fraction):
        yield "max_invalid_fraction", sentence
    for sentence in rules.skipped(sources["skipped"], limits.max_skipped_files):
        yield "max_skipped_files", sentence


def _of_run_before(folder: Path, train: rules.Statistics, limits: base.Parameters) -> Iterator[tuple[str, str]]:
    """Yields the broken rule of drift, if an earlier run of this root used the same tokenizer."""
    previous = previous_statistics(folder)
    if previous is None or not (split_dir(previous, "train") / frequent_words.WORDS_FILE).is_file():
        return
    own = frequent_words.read(split_dir(folder, "train") / frequent_words.WORDS_FILE)
    try:
        before = STATISTICS.read(split_dir(previous, "train"))
        theirs = frequent_words.read(split_dir(previous, "train") / frequent_words.WORDS_FILE)
    except base.ComponentError as error:
        logging.warning("The words are not compared with those of the previous run: %s", error)
        return
    if before["tokenizer"] != train["tokenizer"] or not before["tokens"] or not train["tokens"]:
        return
    for sentence in rules.drift(own, theirs, (train["tokens"], before["tokens"]), limits.max_drift):
        yield "max_drift", sentence
