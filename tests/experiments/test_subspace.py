"""The files of the subspace experiment: a point is written whole, and the summary reads whole points alone."""

import json
import sys
import types

import numpy as np
import pytest

from experiments import subspace
from experiments.subspace import Point
from tests.experiments.tiny_table import write_corpus


class Network:
    """Stands for a network: known losses, and weights that lie in one column space."""

    def __init__(self, beta, temperature, seed, vocabulary_size):
        weights = np.random.default_rng(seed).normal(size=(vocabulary_size, 3))
        self.projection = types.SimpleNamespace(numpy=lambda: weights @ np.diag([1.0, 2.0, 3.0]))
        self.embedding = types.SimpleNamespace(numpy=lambda: weights)

    def train(self, ids, epochs):
        assert len(ids) > 0
        yield from ((10.0 - epoch, 20.0 - epoch) for epoch in range(epochs))


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder with two seeds of each point."""
    monkeypatch.setattr(subspace.subspace_network, "Network", Network)
    corpus = write_corpus(tmp_path / "corpus", lines=20)
    (tmp_path / "results" / "subspace").mkdir(parents=True)
    for point in subspace.points(seeds=2):
        subspace.train(point, corpus, 7, tmp_path / "results" / "subspace" / f"{point.name}.json")
    return tmp_path / "results"


def test_a_point_is_written_with_its_settings_and_every_fifth_and_the_last_epoch(results):
    names = {f"{point.name}.json" for point in subspace.points(seeds=2)}
    assert {path.name for path in (results / "subspace").iterdir()} == names and len(names) == 26
    written = json.loads((results / "subspace" / f"{Point(0.25, 10.0, 2).name}.json").read_text())
    assert (written["beta"], written["temperature"], written["seed"], written["epochs"]) == (0.25, 10.0, 2, 7)
    assert [epoch["epoch"] for epoch in written["history"]] == [5, 7]
    assert written["history"][-1]["cross_entropy"] == 4.0 and written["history"][-1]["augmented_loss"] == 14.0
    assert written["history"][-1]["distance"] == pytest.approx(0, abs=1e-6)


def test_the_summary_has_both_panels_and_skips_a_file_that_a_killed_process_left(results):
    expected = subspace.summarise(results)
    (results / "subspace" / f".{Point(0.25, 10.0, 2).name}.json").write_text('{"beta": 0.2')
    assert subspace.summarise(results) == expected == json.loads((results / "subspace.json").read_text())
    assert [point["beta"] for point in expected["against_beta"]["points"]] == list(subspace.BETAS)
    assert [point["temperature"] for point in expected["against_temperature"]["points"]] == list(subspace.TEMPERATURES)
    assert expected["against_beta"]["points"][0]["cross_entropy"] == {"mean": 4.0, "seeds": {"1": 4.0, "2": 4.0}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--plot-only"], "found no point in subspace/"), (["--data-dir", "{}"], "penn_treebank needs the files")],
)
def test_bad_input_is_bad_usage(tmp_path, monkeypatch, capsys, arguments, message):
    (tmp_path / "notes.txt").write_text("no corpus\n")
    words = [argument.format(tmp_path) for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["subspace", "--output", str(tmp_path), *words])
    with pytest.raises(SystemExit, match="2"):
        subspace.main()
    assert message in capsys.readouterr().err and not (tmp_path / "subspace.json").exists()


def test_a_point_that_cannot_be_written_keeps_what_was_there(results, tmp_path, monkeypatch):
    file = results / "subspace" / f"{Point(0.25, 10.0, 2).name}.json"
    before = file.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        subspace.train(Point(0.25, 10.0, 2), tmp_path / "corpus", 7, file)
    assert file.read_bytes() == before and not list(file.parent.glob(".*"))
