"""The page of two runs side by side."""

from components.artifacts.evaluation import EVALUATION
from pipeline import report
from pipeline.exit_codes import USAGE_ERROR
from pipeline.reporting.page import write_comparison
from tests.pipeline.reporting.run_pages import Page, make_run


def _compared(tmp_path, changes, tokens="1f"):
    runs = [make_run(tmp_path / name, run_id=f"run-{name}") for name in "ab"]
    runs[1]["configuration"] |= changes
    transform = next(step for step in runs[1]["components"] if step["name"] == "Transform")
    transform["outputs"]["transformed_examples"]["digest"] = tokens
    path = tmp_path / "compared.html"
    write_comparison(*runs, path)
    return Page(path.read_text(encoding="utf-8"))


def test_two_runs_side_by_side_show_what_differs(tmp_path):
    page = _compared(tmp_path, {"trainer.epochs": 7})
    text = " ".join(page.text.split())
    assert {"figures", "training", "configuration", "slices", "predictions", "components"} <= set(page.ids)
    assert "run-a" in text and "run-b" in text
    assert "trainer.epochs 3 7" in text and "+0.00%" in text
    assert "script" not in page.tags and page.tags.count("svg") == 4


def test_perplexities_of_different_text_are_not_compared(tmp_path):
    text = _compared(tmp_path, {}, tokens="2e").text
    assert "perplexities are of different things" in text
    assert text.count("%+") + text.count("+0.00%") == 1  # bits per character alone


def test_perplexities_of_the_same_text_in_another_folder_are_compared(tmp_path):
    assert "perplexities are of different things" not in _compared(tmp_path, {"example_gen.data_dir": "moved"}).text
    (tmp_path / "chunks").mkdir()
    changes = {"example_gen.chunk_bytes": 70_000}  # cuts the same tokens into other files
    text = _compared(tmp_path / "chunks", changes, tokens="2e").text
    assert "perplexities are of different things" not in text
    (tmp_path / "both").mkdir()
    text = _compared(tmp_path / "both", changes | {"vocabulary.max_size": 5}, tokens="2e").text
    assert "perplexities are of different things" in text


def test_runs_that_failed_can_be_compared(tmp_path):
    runs = [make_run(tmp_path / name, last="Trainer", exit_code=1) for name in "ab"]
    write_comparison(*runs, tmp_path / "compared.html")
    assert "Neither run was evaluated." in (tmp_path / "compared.html").read_text()


def test_comparing_a_run_with_a_damaged_artifact_names_the_file(tmp_path, capsys, monkeypatch):
    runs = {name: make_run(tmp_path / name, run_id=f"run-{name}") for name in "ab"}
    file = tmp_path / "b" / "Evaluator" / "evaluation" / "1" / EVALUATION.file
    file.write_text(file.read_text().replace('"format": 1', '"format": 99'))
    monkeypatch.setattr(report.history, "load_run", lambda root, run_id: runs[run_id])
    assert report.main(["--compare", "a", "b", "--root", str(tmp_path)]) == USAGE_ERROR
    assert f"{file} has format 99" in capsys.readouterr().err


def test_comparing_a_run_that_does_not_exist_is_a_usage_error(tmp_path, capsys):
    assert report.main(["--compare", "x", "y", "--root", str(tmp_path)]) == USAGE_ERROR
    assert "there is no such run" in capsys.readouterr().err
