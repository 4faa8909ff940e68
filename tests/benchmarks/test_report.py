"""A row's verdict, its line and its JSON, and the rows of what is skipped."""

import json

import pytest

from benchmarks import command_line, data_pipeline, training_run
from benchmarks.report import TREEBANK, Row, publish, skipped


@pytest.mark.parametrize(
    "figure, goal, direction, verdict",
    [
        (1.69, 1.7, "at most", "met"),
        (1.7, 1.7, "at most", "met"),
        (1.71, 1.7, "at most", "NOT MET"),
        (1.61, 1.6, "at least", "met"),
        (1.6, 1.6, "at least", "met"),
        (1.59, 1.6, "at least", "NOT MET"),
        (0, 0, "at most", "met"),
        (5.0, None, "at most", ""),
        (None, 1.7, "at most", "skipped"),
        (None, None, "at most", "skipped"),
    ],
)
def test_a_verdict_compares_the_figure_with_its_goal(figure, goal, direction, verdict):
    assert Row("a row", figure, "s", goal, direction).verdict == verdict


def test_a_line_has_name_figure_unit_goal_verdict_and_note():
    def cells(row):
        return str(row).split()

    assert cells(Row("loading", 2.5, "s", 3, note="cold")) == "loading 2.500 s at most 3 met cold".split()
    assert cells(Row("rate", 8123.4, "MB/s", 9000, "at least")) == "rate 8,123 MB/s at least 9,000 NOT MET".split()
    assert cells(Row("loading", 25.0, "s")) == "loading 25.00 s".split()
    assert cells(Row("loading", 250.0, "s")) == "loading 250.0 s".split()
    assert cells(Row("loading", None, note="no model")) == "loading skipped no model".split()


def test_a_record_has_the_same_facts_as_json():
    assert Row("ratio", 1.234567, "", 1.4, "at least", "a note").record() == {
        "row": "ratio",
        "figure": 1.2346,
        "unit": "",
        "goal": "at least 1.4",
        "verdict": "NOT MET",
        "note": "a note",
    }
    nothing = Row("ratio", None, "s").record()
    assert (nothing["figure"], nothing["goal"], nothing["verdict"]) == (None, None, "skipped")


def test_a_benchmark_is_skipped_without_all_files_of_the_treebank(tmp_path):
    (row,) = skipped("an epoch", None)
    assert row.verdict == "skipped" and "--data-dir FOLDER" in row.note and "DATA_DIR=FOLDER" in row.note
    (tmp_path / TREEBANK[0]).touch()
    (row,) = skipped("an epoch", tmp_path)
    assert row.name == "an epoch" and row.verdict == "skipped"
    assert row.note == f"--data-dir {tmp_path} has no ptb.valid.txt, ptb.test.txt"
    for name in TREEBANK:
        (tmp_path / name).touch()
    assert skipped("an epoch", tmp_path) == []


def test_publishing_prints_each_row_as_it_comes_and_writes_all(tmp_path, capsys):
    printed = []

    def rows():
        yield Row("first", 1.0, "s", 2)
        printed.append(capsys.readouterr().out)
        yield Row("second", None, note="no file")

    output = tmp_path / "new" / "figures.json"
    publish(rows(), output, units=200)
    assert printed[0].split() == "first 1.000 s at most 2 met".split()
    assert capsys.readouterr().out.split() == "second skipped no file".split()
    written = json.loads(output.read_text())
    assert [(row["row"], row["verdict"]) for row in written["rows"]] == [("first", "met"), ("second", "skipped")]
    assert written["machine"]["cores"] >= 1 and written["machine"]["tensorflow"] and written["units"] == 200


def test_without_the_treebank_each_script_has_one_skipped_row_that_says_so():
    *answers, last = command_line.rows(None, rounds=1)
    assert [row.name for row in answers] == list(command_line.ANSWERS) and all(row.figure > 0 for row in answers)
    rows = [last, *training_run.rows(None, 0), *data_pipeline.rows(None, [64], [])]
    assert [row.verdict for row in rows] == ["skipped"] * 3
    assert all("--data-dir" in row.note for row in rows)


def test_the_rows_of_an_epoch_are_ratios_with_their_goals():
    figures = {
        "steps": 100, "warming_up": 9.0, "epoch": 10.4, "bare": 10.0, "stretches": [(2.2, 2.0), (2.0, 2.0), (3.0, 2.0)],
        "saves": [0.1, 0.2, 0.3], "checkpoint_seconds": 9.8,
    }  # fmt: skip
    rows = {row.name: (row.figure, row.verdict) for row in training_run.epoch_rows(figures)}
    assert {name: (pytest.approx(figure), verdict) for name, (figure, verdict) in rows.items()} == {
        "bare step of REAL": (100.0, ""),
        "epoch, validation apart / bare step x steps": (1.04, "met"),
        "of it, the loop with the progress bar: median of stretches": (1.1, ""),
        "a checkpoint": (200.0, ""),
        "checkpoints' share of the time": (2.0, "met"),
    }
