"""The lines that the benchmark of a training step prints, from contenders of known speed."""

import io
import json
import re
import sys
import time

import pytest

from benchmarks import step_timings, training_step

MILLISECONDS = {
    "RE": 10,
    "REAL": 20,
    "REAL through": 25,
    "RE float32": 16,
    "products": 5,
    "REAL products": 8,
    "REAL through products": 10,
    "float32 products": 8,
    "keras": 35,
    "torch float32": 24,
    "torch bfloat16": 18,
    "torch augmented float32": 60,
    "torch augmented bfloat16": 52,
}
DRIFT = (1.0, 3.0, 1.5)  # of the machine's speed, from round to round


class Process:
    """Stands for a contender's process."""

    def __init__(self):
        self.killed = False

    def kill(self):
        self.killed = True


class Contender:
    """A contender whose steps take a known time; `all` has every one that was made."""

    all: list["Contender"] = []

    def __init__(self, arguments, units, vocabulary, threads):
        names = [name for name, own in training_step.CONTENDERS.items() if own == arguments]
        (self.name,), self.settings = names, (units, vocabulary, threads)
        self.process, self.rounds = Process(), 0
        Contender.all.append(self)

    def seconds(self, steps):
        assert steps == 4
        self.rounds += 1
        return MILLISECONDS[self.name] / 1e3 * DRIFT[self.rounds - 1]


@pytest.fixture
def benchmark(monkeypatch, capsys):
    """Runs the command with these contenders and returns what it printed, and the file that it wrote."""
    monkeypatch.setattr(training_step, "Contender", Contender)
    monkeypatch.setattr(Contender, "all", [])

    def run(output, *arguments):
        options = ["--rounds", "3", "--steps", "4", "--vocabulary", "50", "--output", str(output), *arguments]
        monkeypatch.setattr(sys, "argv", ["training_step", *options])
        training_step.main()
        return capsys.readouterr().out, json.loads(output.read_text())

    return run


@pytest.mark.parametrize(
    "name, ratio, goal, verdict, note",
    [
        ("fastest PyTorch / RE, default precision", "1.800", "at least 1.6", "met",
         "with the products alone 3.60; the goal is 2.25 times the products"),
        ("PyTorch float32 / RE float32", "1.500", "at least 1.4", "met",
         "with the products alone 3.00; the goal is 2.14 times the products"),
        ("fastest PyTorch augmented / REAL", "2.600", "at least 2.5", "met",
         "with the products alone 6.50; the goal is 2.60 times the products"),
        ("RE / its own products", "2.000", "at most 1.7", "NOT MET", ""),
        ("REAL / RE", "2.000", "at most 1.4", "NOT MET", "with the products alone 1.60"),
        ("REAL through the target / RE", "2.500", "at most 1.6", "NOT MET", "with the products alone 2.00"),
        ("stock Keras / RE", "3.500", "at least 3", "met",
         "with the products alone 7.00; the goal is 2.33 times the products"),
    ],
)  # fmt: skip
def test_a_ratio_is_printed_with_its_goal_whatever_the_machines_drift(
    benchmark, tmp_path, name, ratio, goal, verdict, note
):
    printed, written = benchmark(tmp_path / "figures.json", "--units", "200")
    (line,) = re.findall(rf"^200 units: {re.escape(name)} .*$", printed, re.MULTILINE)
    assert line.startswith(f"200 units: {name} ")
    assert re.split(r"\s{2,}", line, maxsplit=1)[1].split() == f"{ratio} {goal} {verdict} {note}".split()
    (record,) = [row for row in written["rows"] if row["row"] == f"200 units: {name}"]
    assert (f"{record['figure']:.3f}", record["goal"], record["verdict"]) == (ratio, goal, verdict)


def test_every_contender_has_its_milliseconds_and_ends(benchmark, tmp_path):
    printed, _ = benchmark(tmp_path / "figures.json", "--units", "200", "--threads", "1")
    found = dict(re.findall(r"^200 units: (.+?) +([\d.]+) ms$", printed, re.MULTILINE))
    assert {name: float(value) for name, value in found.items()} == {
        name: pytest.approx(1.5 * value) for name, value in MILLISECONDS.items()
    }
    assert len(Contender.all) == len(training_step.CONTENDERS)
    assert all(contender.process.killed and contender.settings == (200, 50, 1) for contender in Contender.all)


def test_each_size_has_its_own_goals_and_one_without_goals_has_no_ratios(benchmark, tmp_path):
    printed, _ = benchmark(tmp_path / "figures.json", "--units", "650", "8")
    goals = {name: goals[650] for name, _, _, goals, _ in training_step.ROWS}
    found = re.findall(r"^650 units: (.+?) {2,}[\d.]+ +at (?:least|most) ([\d.]+)", printed, re.MULTILINE)
    assert {name: float(goal) for name, goal in found} == goals
    assert "8 units: RE " in printed and "8 units: REAL / RE" not in printed


def test_a_contender_that_does_not_start_names_its_command_and_the_extra():
    with pytest.raises(SystemExit, match=r"step_timings unknown .* did not start; .*extra `bench` brings PyTorch"):
        training_step.Contender(["unknown"], 8, 50, 1)


@pytest.fixture
def timings(monkeypatch, capsys):
    """Runs a contender's process with this step and these lines on standard input; returns what it printed."""

    def run(arguments, step, lines):
        monkeypatch.setitem(step_timings.CONTENDERS, arguments[0], lambda options: step)
        monkeypatch.setattr(step_timings, "keep_freed_memory", lambda: None)
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        monkeypatch.setattr(sys, "argv", ["step_timings", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        step_timings.main()
        return capsys.readouterr().out.split()

    return run


def test_a_contenders_process_answers_each_line_with_the_median_seconds_of_its_steps(timings):
    seconds = iter([9, 9, 9, 0.5, 4, 0.25, 7])  # three to warm up, then the steps
    assert timings(["ours"], lambda: next(seconds), "3\n1\n") == ["ready", "0.5", "7"]


def test_steps_that_report_no_seconds_are_timed(timings):
    ready, seconds = timings(["products"], lambda: time.sleep(0.01), "1\n")
    assert ready == "ready" and 0.01 <= float(seconds) < 5


@pytest.mark.parametrize("name", training_step.CONTENDERS)
def test_a_contenders_process_accepts_its_arguments(timings, name):
    sizes = ["--units", "8", "--vocabulary", "50", "--threads", "1"]
    assert timings([*training_step.CONTENDERS[name], *sizes], lambda: None, "") == ["ready"]
