"""Rules on the data, from texts to sentences: StatisticsGen and ExampleValidator run as in a pipeline."""

import re
from pathlib import Path

import numpy as np
import pytest

from components import base
from components.artifacts import frequent_words
from components.artifacts.splits import split_dir
from components.artifacts.statistics import ANOMALIES, SOURCES, STATISTICS
from components.example_validator import rules
from components.example_validator.component import ExampleValidator
from components.statistics_gen.component import StatisticsGen
from tests.components.examples_artifact import write_examples

CONTEXT = base.Context(run_id="test", workspace=None, progress=False)
ENGLISH = "".join(f"the cat number {number} sat on mat {number * 7}\n" for number in range(200))


def count(folder: Path, number: int = 2, sources=None, lowercase=False, **splits) -> Path:
    """Statistics of texts: a split is one text, or a dict of documents."""
    splits = {"train": ENGLISH, "eval": "a dog\n" * 50, "test": "a bird\n" * 50} | splits
    shards = {}
    for split, documents in splits.items():
        documents = documents if isinstance(documents, dict) else {f"{split}.txt": documents}
        encoded = {name: text if isinstance(text, bytes) else text.encode() for name, text in documents.items()}
        shards[split] = [[(name, 0, text) for name, text in encoded.items()]]
    examples = write_examples(folder / f"examples-{number}", shards)
    if sources is not None:
        SOURCES.write(examples, {"skipped": {}, "outside": 0, "files": {}} | sources)
    output = folder / "StatisticsGen" / "statistics" / str(number)
    output.mkdir(parents=True)
    parameters = StatisticsGen.Parameters(tokenizer="whitespace", lowercase=lowercase)
    component = StatisticsGen(parameters, examples=base.Channel("ExampleGen", "examples", "Examples"))
    component.execute({"examples": examples}, {"statistics": output}, CONTEXT)
    return output


def judge(statistics: Path, **limits) -> dict[str, list[str]]:
    """The sentences, errors and warnings."""
    component = ExampleValidator(
        ExampleValidator.Parameters(**limits),
        statistics=base.Channel("StatisticsGen", "statistics", "ExampleStatistics"),
    )
    output = statistics.parents[2] / "anomalies"
    output.mkdir(exist_ok=True)
    try:
        component.execute({"statistics": statistics}, {"anomalies": output}, CONTEXT)
    except base.ComponentError as error:
        anomalies = ANOMALIES.read(output)
        assert str(error) == "\n".join(anomalies["errors"])
        return anomalies
    return ANOMALIES.read(output)


def test_sound_text_breaks_no_rule(tmp_path):
    assert judge(count(tmp_path)) == {"errors": [], "warnings": []}


RULES = [
    ("min_tokens", {"eval": "few words\n"}, "The eval split has 3 tokens, fewer than"),
    ("max_unk_share", {"test": "<unk> <unk> word\n" * 50}, r"50.0% of the test split's tokens \(100\) are <unk>"),
    ("max_overlap", {"eval": "new line\n" * 30 + ENGLISH[:4000]}, "For example: the cat number .* sat on mat"),
    (
        "max_document_share",
        {"train": {"huge.txt": ENGLISH} | {f"{number}.txt": "a b c\n" for number in range(9)}},
        "huge.txt is 99.[0-9]% of the train split's text, .* in 10 documents",
    ),
    (
        "max_line_bytes",
        {"test": {"a.txt": "a bird\n" * 50, "b.txt": "a\nb\n" + "x y " * 20_000 + "\nc\n"}},
        r"a line of 80,000 bytes.*65,536: b.txt, line 3, which begins 'x y x y",
    ),
    ("max_foreign_script", {"eval": "тихий дом\n" * 50}, r"100.0% of the eval .* hardly has: Cyrillic \(100.0%\)"),
    (
        "max_invalid_fraction",
        {"sources": {"files": {"bad.txt": {"bytes": 100, "invalid_bytes": 40, "nul_bytes": 0},
                               "stray.txt": {"bytes": 90, "invalid_bytes": 0, "nul_bytes": 1}}}},
        r"1 file\(s\) with more bytes that are not UTF-8 .*: bad.txt \(40.0% of 100 bytes\)",
    ),
    ("max_skipped_files", {"sources": {"skipped": {"pipe": "a named pipe"}}}, r"1 of the .*: pipe \(a named pipe\)"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "texts", "sentence"), RULES, ids=[rule for rule, *_ in RULES])
def test_a_broken_rule_is_a_warning_or_an_error_as_configured(tmp_path, rule, texts, sentence):
    statistics = count(tmp_path, **texts)
    (warning,) = judge(statistics, errors=[])["warnings"]
    assert judge(statistics, errors=[rule]) == {"errors": [warning], "warnings": []}
    assert re.search(sentence, warning), warning
    loosest = {"min_tokens": 1, "max_line_bytes": 10**9, "max_skipped_files": 9}.get(rule, 1)
    assert judge(statistics, **{rule: loosest}) == {"errors": [], "warnings": []}


def test_invalid_bytes_fail_by_default_and_the_rest_warns():
    assert ExampleValidator.Parameters().errors == ["max_invalid_fraction"]


def test_drift_is_measured_against_the_run_before(tmp_path):
    first = count(tmp_path, 2)
    assert judge(first)["warnings"] == []
    same = count(tmp_path, 11)
    assert judge(same, max_drift=0.0)["warnings"] == []
    other = count(tmp_path, 20, train="el gato se sienta en la alfombra\n" * 200)
    (warning,) = judge(other)["warnings"]
    assert "Jensen-Shannon distance" in warning and "What changed most: " in warning and "el (+" in warning
    assert judge(first)["warnings"] == [], "the first run has none before it"
    assert judge(count(tmp_path, 30, lowercase=True))["warnings"] == [], "other words by another tokenizer"


def test_damaged_words_of_the_run_before_are_not_compared(tmp_path, caplog):
    first, second = count(tmp_path, 2), count(tmp_path, 11, train="el gato\n" * 200)
    words = split_dir(first, "train") / frequent_words.WORDS_FILE
    words.write_bytes(b"no count\n")
    assert judge(second)["warnings"] == [] and f"{words} cannot be read" in caplog.text


def test_the_earlier_statistics_are_part_of_the_cache_key(tmp_path):
    component = ExampleValidator(
        ExampleValidator.Parameters(),
        statistics=base.Channel("StatisticsGen", "statistics", "ExampleStatistics"),
    )
    for number in (3, 9, 10):
        (tmp_path / str(number)).mkdir()
    states = [component.external_state({"statistics": tmp_path / str(number)}) for number in (3, 9, 10)]
    assert states == [{"previous": None}, {"previous": "3"}, {"previous": "9"}]
    assert component.external_state({"statistics": tmp_path}) == {"previous": None}


def test_the_distance_is_the_square_root_of_the_jensen_shannon_divergence():
    now, before = {b"a": 50, b"b": 30}, {b"a": 20, b"c": 60}
    first, second = np.array([0.5, 0.3, 0.0, 0.2]), np.array([0.1, 0.0, 0.3, 0.6])
    middle = (first + second) / 2

    def divergence(share):
        return sum(p * np.log2(p / m) for p, m in zip(share, middle, strict=True) if p)

    expected = np.sqrt((divergence(first) + divergence(second)) / 2)
    np.testing.assert_allclose(rules.jensen_shannon(now, before, (100, 200)), expected)
    assert rules.jensen_shannon(now, now, (100, 100)) == 0
    assert rules.jensen_shannon({b"a": 5}, {b"b": 5}, (5, 5)) == 1


def test_frequent_words_and_scripts_are_counted_as_python_counts_them(tmp_path):
    statistics = count(tmp_path, train=ENGLISH + "дом дом 漢字 ｆull カナ ª\n")
    words = [line.split("\t") for line in (statistics / "Split-train/words.tsv").read_text().splitlines()]
    assert words[:2] == [["cat", "200"], ["mat", "200"]] and ["дом", "2"] in words
    assert "<eos>" not in dict(words)
    counts = STATISTICS.read(statistics / "Split-train")
    letters = sum(letter.isascii() and letter.isalpha() for letter in ENGLISH) + len("ull")
    assert counts["scripts"] == {
        "LATIN": letters, "CYRILLIC": 6, "CJK": 2, "KATAKANA": 2, "FEMININE": 1, "FULLWIDTH": 1,
    }  # fmt: skip


def test_documents_and_lines_are_measured_across_shards(tmp_path):
    shards = [
        [("a", 0, b"12\n"), ("b", 0, b"1234\n")],
        [("b", 1, b"123456789\r")],
        [("b", 2, b"1\n"), ("c", 0, b"1\n")],
    ]
    examples = write_examples(tmp_path / "examples", {"train": shards, "eval": shards[1:2], "test": shards[:1]})
    output = tmp_path / "statistics"
    output.mkdir()
    component = StatisticsGen(
        StatisticsGen.Parameters(tokenizer="whitespace"), examples=base.Channel("ExampleGen", "examples", "Examples")
    )
    component.execute({"examples": examples}, {"statistics": output}, CONTEXT)
    counts = {s: STATISTICS.read(output / f"Split-{s}") for s in ("train", "eval", "test")}
    assert counts["train"]["largest_document"] == {"name": "b", "bytes": 17, "share": 17 / 22}
    assert counts["train"]["longest_line"] == {"bytes": 9, "document": "b", "line": 2, "text": "123456789"}
    assert counts["test"]["largest_document"]["bytes"] == 5
    assert counts["train"]["lines"] == 5
