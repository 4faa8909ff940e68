"""The results file of a table: its form, and that no figure in it is lost."""

import json
import subprocess
import sys

import pytest

from experiments import curves, report
from experiments.records import FIELDS, Records, RecordsError


def run(name="small_re", seed=1, **values):
    epochs = [{"epoch": 1, "train_perplexity": 400.5, "valid_perplexity": 220.25}]
    figures = {"hours": 0.5, "epochs": epochs, "valid_perplexity": 220.25, "test_perplexity": None, "adaptive": {}}
    return (
        {"name": name, "seed": seed, "commit": "abc", "machine": "a processor", "status": "running"} | figures | values
    )


def test_a_run_is_added_then_replaced_and_the_others_are_kept(tmp_path):
    records = Records(tmp_path)
    assert records.runs() == [] and records.find("small_re", 1) is None
    for other in (run(seed=2), run("small_al"), run(), run(hours=1.5, status="finished")):
        records.save(other)
    content = json.loads((tmp_path / "results.json").read_text())
    assert [(r["name"], r["seed"]) for r in content["runs"]] == [("small_al", 1), ("small_re", 1), ("small_re", 2)]
    assert records.find("small_re", 1) == run(hours=1.5, status="finished")
    assert all(set(FIELDS) <= set(r) for r in content["runs"])
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


WRITER = """
import sys
from pathlib import Path
from experiments import curves, report
from experiments.records import Records
from tests.experiments.test_records import run
for hour in range(20):
    Records(Path(sys.argv[1])).save(run(sys.argv[2], hours=hour))
"""


def test_rows_side_by_side_do_not_lose_each_others_figures(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, f"row_{i}"]) for i in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    assert {r["name"]: r["hours"] for r in Records(tmp_path).runs()} == {f"row_{i}": 19 for i in range(3)}


DAMAGED = {
    "cut off": json.dumps({"runs": [run()]})[:80],
    "another form": json.dumps([run()]),
    "not text": b"\xff\xfe\x00",
    "no seed": json.dumps({"runs": [{k: v for k, v in run().items() if k != "seed"}]}),
    "seed": json.dumps({"runs": [run(seed="1")]}),
    "twice": json.dumps({"runs": [run(), run()]}),
    "not a number": json.dumps({"runs": [run(hours=float("nan"))]}),
    "an epoch that says nan": json.dumps({"runs": [run(epochs=[run()["epochs"][0] | {"valid_perplexity": "nan"}])]}),
    "adaptive": json.dumps({"runs": [run(adaptive={"cache": 3})]}),
    "epochs": json.dumps({"runs": [run(epochs=[{"epoch": 1}])]}),
    "corpus": json.dumps({"runs": [run(corpus="penn_treebank")]}),
    "dataset": json.dumps({"runs": [run(corpus={"dataset": ["penn_treebank"]})]}),
    "overrides": json.dumps({"runs": [run(overrides=None)]}),
    "hours": json.dumps({"runs": [run(hours=1)]}).replace('"hours": 1', '"hours": 1e999'),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_by_name_and_not_overwritten(tmp_path, content):
    file = tmp_path / "results.json"
    content = content if isinstance(content, bytes) else content.encode()
    file.write_bytes(content)
    for use in (Records(tmp_path).runs, lambda: Records(tmp_path).save(run())):
        with pytest.raises(RecordsError, match=f"{file} is damaged: .*Nothing was written to it"):
            use()
    assert file.read_bytes() == content and [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_figure_that_was_not_finite_is_kept_as_null(tmp_path):
    epoch = {"epoch": 1, "train_perplexity": None, "valid_perplexity": None}
    diverged = run(epochs=[epoch], valid_perplexity=None, adaptive={"dynamic": {"valid": None, "test": None}})
    Records(tmp_path).save(diverged)
    assert Records(tmp_path).runs() == [diverged]
    assert report.by_epoch([diverged])[1][1:] == ["- / -", "-"]
    assert "<svg" in curves.draw([diverged], "title")


def test_a_figure_that_json_cannot_hold_is_not_written(tmp_path):
    Records(tmp_path).save(run())
    before = (tmp_path / "results.json").read_bytes()
    with pytest.raises(RecordsError, match="cannot hold small_re, seed 1"):
        Records(tmp_path).save(run(hours=float("nan")))
    assert (tmp_path / "results.json").read_bytes() == before
