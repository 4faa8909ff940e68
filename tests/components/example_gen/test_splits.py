"""Names, hashes and lines that decide a split."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.artifacts.splits import SPLITS
from components.base import ComponentError
from components.example_gen import splits
from components.example_gen.lines import LineRun


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("ptb.train.txt", "train"),
        ("ptb.valid.txt", "eval"),
        ("news-dev2.txt.gz", "eval"),
        ("EVAL_00.txt", "eval"),
        ("wiki.test.tokens", "test"),
        ("latest.txt", None),
        ("contest.txt", None),
        ("developer.txt", None),
        ("train-test.txt", None),
        ("book.txt", None),
    ],
)
def test_a_word_in_the_file_name_decides(name, split):
    assert splits.split_of_name(name) == split


def test_the_nearest_folder_decides_where_the_file_name_does_not():
    assert splits.split_of_path("train/test/0001.txt") == "test"
    assert splits.split_of_path("train/valid.txt") == "eval"
    assert splits.split_of_path("books/0001.txt") is None


def test_hashing_divides_90_5_5_and_depends_on_the_document_alone():
    names = [f"document {number}".encode() for number in range(20_000)]
    fractions = [splits.document_fraction(name) for name in names]
    rule = splits.hold_out_documents(fractions[: splits.HASHES_TO_LOOK_AT], ["eval", "test"])
    counts = {split: [rule.split_of(fraction) for fraction in fractions].count(split) for split in SPLITS}
    assert counts["train"] == pytest.approx(18_000, rel=0.01)
    assert counts["eval"] == pytest.approx(1_000, rel=0.1)
    assert counts["test"] == pytest.approx(1_000, rel=0.1)
    assert splits.document_fraction(b"document 3") == fractions[3]


LOW, HIGH = (
    st.sets(st.floats(0, 0.9), min_size=2, max_size=60),
    st.sets(st.floats(0.9, 1, exclude_max=True), max_size=9),
)
MISSING = st.sampled_from([["eval"], ["test"], ["eval", "test"]])


@settings(deadline=None)
@given(low=LOW, high=HIGH, missing=MISSING)
def test_hashing_holds_out_the_highest_fractions_and_a_document_for_each_missing_split(low, high, missing):
    fractions = low | high
    rule = splits.hold_out_documents(fractions, missing)
    divided = [rule.split_of(fraction) for fraction in sorted(fractions)]
    assert set(missing) <= set(divided) <= {"train", *missing}
    assert divided == sorted(divided, key=SPLITS.index)  # train has the lowest fractions, test the highest


@settings(deadline=None)
@given(seed=st.integers())
def test_hashing_never_leaves_a_split_of_50_documents_empty(seed):
    fractions = [splits.document_fraction(f"{seed} {number}".encode()) for number in range(50)]
    rule = splits.hold_out_documents(fractions, ["eval", "test"])
    assert {rule.split_of(fraction) for fraction in fractions} == {"train", "eval", "test"}


def test_only_the_missing_split_is_held_out():
    rule = splits.hold_out_documents([number / 100 for number in range(100)], ["eval"])
    assert [rule.split_of(fraction) for fraction in (0.0, 0.94, 0.951)] == ["train", "train", "eval"]


@settings(deadline=None)
@given(ends=st.sets(st.integers(1, 99)), chunk=st.integers(0, 5))
@example(ends=set(), chunk=0)
@example(ends=set(range(1, 100)), chunk=3)
@example(ends={33, 34}, chunk=1)
@example(ends={90, 95}, chunk=2)
def test_the_last_lines_are_held_out_wherever_runs_and_chunks_end(ends, chunk):
    lines = [b"%d\n" % number for number in range(100)]
    bounds = itertools.pairwise([0, *sorted(ends), 100])
    runs = [LineRun("book", start, lines[start:end]) for start, end in bounds]
    rule = splits.hold_out_lines(100, ["eval", "test"])
    parts = [part for part in (runs[:chunk], runs[chunk:]) if part]  # two workers, each with some of the runs
    routed = [pair for part in parts for pair in rule.route(part, part[0].position)]
    for split, expected in (("train", lines[:90]), ("eval", lines[90:95]), ("test", lines[95:])):
        held = [run for name, run in routed if name == split]
        assert [line for run in held for line in run.lines] == expected
        assert all(run.lines and run.lines[0] == b"%d\n" % run.position for run in held)


def test_three_lines_are_enough_and_two_are_not():
    assert splits.hold_out_lines(3, ["eval", "test"]).starts == (("eval", 1), ("test", 2))
    with pytest.raises(ComponentError, match="2 line.*eval and test"):
        splits.hold_out_lines(2, ["eval", "test"])
