"""The real command on real text: every component, the contracts that scripts rely on, and the model that ships."""

import json
import pydoc_data.topics
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.artifacts.evaluation import EVALUATION

REPOSITORY = Path(__file__).parents[2]
COMPONENTS = (
    "ExampleGen StatisticsGen ExampleValidator VocabularyGen Transform Trainer Evaluator InfraValidator Pusher"
).split()
KEYS = (
    "run_id exit blessed pushed_model valid_perplexity test_perplexity train_tokens_per_second replicas seconds "
    "components"
).split()
SECTIONS = "gate training evaluation predictions embedding data lineage components configuration".split()

# Loads the pushed model without this project's code, only with TensorFlow and tensorflow-text.
OUTSIDE_SCRIPT = """
import json, sys
import tensorflow as tf
import tensorflow_text
assert not any("/models" in p or p == "" for p in sys.path), sys.path
model = tf.saved_model.load(sys.argv[1])
text = open(sys.argv[2], encoding="utf-8").read()
next_words = model.signatures["serving_default"](text=tf.constant(["The value of"]))
score = model.signatures["score"](text=tf.constant([text]))
print(json.dumps({
    "signatures": sorted(model.signatures),
    "words": [w.decode() for w in next_words["words"].numpy()[0]],
    "num_tokens": int(score["num_tokens"][0]),
    "perplexity": float(score["perplexity"][0]),
}))
"""


def run(*arguments: str) -> tuple[int, dict | None, str]:
    """Returns the exit code, the last line of standard output as JSON (or None), and standard error."""
    command = [sys.executable, "-m", "pipeline.run", "--local", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else None, done.stderr


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    """A folder with the shorter half of Python's own documentation, most of it for training."""
    folder = tmp_path_factory.mktemp("texts")
    names = {text: name for name, text in sorted(pydoc_data.topics.topics.items())}  # many topics share one text
    shorter = sorted(names, key=len)[: len(names) * 2 // 3]
    for i, text in enumerate(shorter):
        name = names[text]
        split = {0: "valid", 1: "test"}.get(i % 10, "train")
        path = folder / split / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(texts, tmp_path_factory) -> list[str]:
    values = {
        "pipeline.root": tmp_path_factory.mktemp("root"),
        "example_gen.dataset": "text_files",
        "example_gen.data_dir": texts,
        "vocabulary.min_count": 2,
        "model.units": 32,
        "model.dropout": 0,
        "trainer.batch_size": 10,
        "trainer.sequence_length": 15,
        "trainer.epochs": 3,
        "trainer.learning_rate": 0.5,
        "infra_validator.max_latency_ms": 60_000,
    }
    return [x for key, value in values.items() for x in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def first_run(settings):
    return run(*settings)


def test_the_main_job_runs_every_component_and_pushes_a_model(first_run):
    code, summary, errors = first_run
    assert code == 0, errors
    assert list(summary["components"]) == COMPONENTS
    assert {c["status"] for c in summary["components"].values()} == {"executed"}
    assert set(KEYS) <= set(summary)
    assert (summary["exit"], summary["blessed"], summary["replicas"]) == (0, True, 1)
    assert Path(summary["pushed_model"]).name == "1"
    assert 1 < summary["valid_perplexity"] < 5000 and 1 < summary["test_perplexity"] < 5000
    assert summary["train_tokens_per_second"] > 0


def test_the_run_leaves_a_summary_and_a_report_that_needs_no_network(first_run):
    _, summary, _ = first_run
    folder = Path(summary["pushed_model"]).parents[1] / "runs" / summary["run_id"]
    assert json.loads((folder / "summary.json").read_text()) == summary
    report = (folder / "report.html").read_text()
    assert "<svg" in report and 'src="http' not in report and 'href="http' not in report


def test_the_report_has_every_section_and_the_perplexities_that_the_evaluator_wrote(first_run):
    _, summary, _ = first_run
    root = Path(summary["pushed_model"]).parents[1]
    report = (root / "runs" / summary["run_id"] / "report.html").read_text()
    assert sorted(re.findall(r'<section id="(\w+)"', report)) == sorted(SECTIONS)
    assert "A part of this report could not be read" not in report and 'class="dim absent"' not in report
    (folder,) = (root / "Evaluator" / "evaluation").iterdir()
    perplexities = [EVALUATION.read(folder)["splits"][split]["perplexity"] for split in ("eval", "test")]
    assert perplexities == [summary["valid_perplexity"], summary["test_perplexity"]]
    cell = r'<td class="n">([\d.,]+)</td>'
    ((valid, test),) = re.findall(rf"<tr><td>perplexity</td>{cell}{cell}</tr>", report)
    assert [float(shown.replace(",", "")) for shown in (valid, test)] == pytest.approx(perplexities, rel=1e-3)


def test_an_unchanged_second_run_is_all_cached_and_quick(first_run, settings):
    code, summary, errors = run(*settings)
    assert code == 0, errors
    assert {c["status"] for c in summary["components"].values()} == {"cached"}
    assert summary["pushed_model"] == first_run[1]["pushed_model"]
    assert summary["valid_perplexity"] == first_run[1]["valid_perplexity"]


def test_a_script_without_the_project_scores_the_test_split_as_the_evaluator_did(first_run, texts, tmp_path):
    _, summary, _ = first_run
    text = "".join(_closed(p.read_text(encoding="utf-8")) for p in sorted((texts / "test").glob("*.txt")))
    (tmp_path / "test.txt").write_text(text, encoding="utf-8")
    command = [sys.executable, "-I", "-c", OUTSIDE_SCRIPT, summary["pushed_model"], str(tmp_path / "test.txt")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["signatures"] == ["generate", "score", "serving_default", "step"]
    assert len(set(answer["words"])) == 10 and not {"<unk>", "<eos>"} & set(answer["words"])
    assert answer["perplexity"] == pytest.approx(summary["test_perplexity"], rel=1e-3)


def test_a_model_over_the_limit_is_refused_with_exit_3_and_not_pushed(first_run, settings):
    code, summary, errors = run(*settings, "--set", "evaluator.max_perplexity=2")
    assert (code, summary["exit"], summary["blessed"]) == (3, 3, False)
    assert summary["components"]["Pusher"]["status"] == "skipped"
    assert summary["pushed_model"] is None
    assert "max_perplexity" in errors
    assert sorted(p.name for p in Path(first_run[1]["pushed_model"]).parent.iterdir() if p.name.isdecimal()) == ["1"]


def _closed(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"
