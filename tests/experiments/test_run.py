"""The command that trains a row: the real pipeline on a small corpus, killed, resumed and recorded."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.artifacts.evaluation import EVALUATION
from components.artifacts.model_run import HISTORY
from experiments import rows, run
from experiments.records import FIELDS, Records
from pipeline.exit_codes import REFUSED, USAGE_ERROR
from pipeline.root import work_folder
from tests.components.artifacts import samples
from tests.experiments.tiny_table import ROW, write_corpus, write_table

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with `data/` and `table/`."""
    folder = tmp_path_factory.mktemp("world")
    write_corpus(folder / "data", lines=4000)
    write_table(folder / "table", ROW.replace("epochs: 3", "epochs: 6"))
    return folder


def command(world, *more):
    options = ["--seed", "3", "--data-dir", world / "data", "--table", world / "table", "--root", world / "root"]
    return list(map(str, [sys.executable, "-m", "experiments.run", "tiny", *options, *more]))


def start(world):
    return subprocess.Popen(
        command(world),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def child_of(process):
    """Returns the process of `pipeline.run`."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_for(lambda: children.read_text().split())
    return int(children.read_text().split()[0])


def checkpoints(world):
    return list((world / "root" / ".work" / "Trainer").glob("*/*"))


def test_a_row_that_is_killed_twice_is_finished_and_recorded(world):
    records = Records(world / "table")

    first = start(world)  # its child is killed, as by the kernel when memory is short
    wait_for(lambda: checkpoints(world))
    os.kill(child_of(first), signal.SIGKILL)
    assert first.wait(60) == 1 and "The same command resumes it" in first.stderr.read()
    unfinished = records.find("tiny", 3)
    assert unfinished["status"] == "running" and unfinished["test_perplexity"] is None and unfinished["hours"] > 0

    second = start(world)  # all of it is killed, as when a session ends
    wait_for(lambda: child_of(second) and (world / "root" / ".staging").exists())
    time.sleep(4)
    os.killpg(second.pid, signal.SIGKILL)
    second.wait()

    third = subprocess.run(command(world), cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert third.returncode == 0, third.stderr
    found = records.find("tiny", 3)
    assert json.loads(third.stdout.splitlines()[-1]) == found
    assert set(FIELDS) <= set(found) and found["status"] == "finished" and found["adaptive"] == {}
    assert [epoch["epoch"] for epoch in found["epochs"]] == [1, 2, 3, 4, 5, 6]
    assert all(set(epoch) == {"epoch", "train_perplexity", "valid_perplexity"} for epoch in found["epochs"])
    assert found["hours"] > unfinished["hours"]
    (summary,) = (world / "root" / "runs").glob("*/summary.json")
    summary = json.loads(summary.read_text())
    assert summary["components"]["Pusher"]["status"] == "skipped" and not (world / "root" / "serving").exists()
    assert found["test_perplexity"] == summary["test_perplexity"]
    assert found["valid_perplexity"] == pytest.approx(min(e["valid_perplexity"] for e in found["epochs"]), rel=1e-4)


def test_a_finished_row_prints_its_record(world, capsys):
    before = (world / "table" / "results.json").read_bytes()
    assert run.main(command(world)[3:]) == 0
    assert json.loads(capsys.readouterr().out) == Records(world / "table").find("tiny", 3)
    assert (world / "table" / "results.json").read_bytes() == before


def test_a_finished_row_with_other_evaluation_is_evaluated_not_trained(world):
    table, before = world / "table", Records(world / "table").find("tiny", 3)
    row = (table / "tiny.yaml").read_text()
    (table / "tiny.yaml").write_text(row + "evaluator: {adaptive: [cache, dynamic], cache_lambda: 0.2}\n")
    done = subprocess.run(command(world), cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stderr.split())
    assert "Trainer cached" in shown and "Evaluator executed" in shown
    after = Records(table).find("tiny", 3)
    changed = {"evaluator.adaptive": ["cache", "dynamic"], "evaluator.cache_lambda": 0.2}
    assert after["overrides"] == before["overrides"] | changed
    evaluations = sorted((world / "root").glob("Evaluator/evaluation/*/evaluation.json"), key=os.path.getmtime)
    evaluated = EVALUATION.read(evaluations[-1].parent)["adaptive"]
    assert after["adaptive"] == {mode: {"valid": own["eval"], "test": own["test"]} for mode, own in evaluated.items()}
    assert set(after["adaptive"]) == {"cache", "dynamic"} and evaluated["cache"]["settings"]["cache_lambda"] == 0.2
    assert all(after[key] == before[key] for key in before if key not in ("overrides", "adaptive"))

    (table / "tiny.yaml").write_text(row)  # without the model, the record is kept
    elsewhere = command(world, "--root", world / "elsewhere")
    done = subprocess.run(elsewhere, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == USAGE_ERROR and "would be trained again" in done.stderr
    assert Records(table).find("tiny", 3) == after


def test_a_model_that_is_worse_than_counting_words_is_a_result(tmp_path):
    table = write_table(tmp_path / "table", ROW.replace("epochs: 3", "epochs: 1, learning_rate: 1.0e-6"))
    write_corpus(tmp_path / "data")
    done = subprocess.run(command(tmp_path), cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == REFUSED and "Evaluator refused the model" in done.stderr, done.stderr
    found = Records(table).find("tiny", 3)
    assert found["status"] == "finished" and found["test_perplexity"] > 10.9


def recorded(folder, **values):
    """A table with a finished run of the row `tiny`, and the arguments to run it."""
    table, data = write_table(folder / "table"), write_corpus(folder / "data")
    found = rows.read(table, "tiny", 1, data)
    figures = {"hours": 1.0, "epochs": [], "valid_perplexity": 5.0, "test_perplexity": 4.0, "adaptive": {}}
    about = {"name": "tiny", "seed": 1, "commit": "abc", "machine": "a processor", "status": "finished"}
    Records(table).save(about | figures | {"overrides": found.overrides, "corpus": found.corpus} | values)
    return table, ["tiny", "--table", str(table), "--data-dir", str(data), "--root", str(folder / "root")]


def refused(arguments, capsys, *words):
    assert run.main(arguments) == USAGE_ERROR
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert not Path(arguments[arguments.index("--root") + 1]).exists()


def test_another_corpus_under_the_same_name_is_refused(tmp_path, capsys):
    table, arguments = recorded(tmp_path)
    before = (table / "results.json").read_bytes()
    other = write_corpus(tmp_path / "other", seed=2)
    arguments[arguments.index("--data-dir") + 1] = str(other)
    refused(arguments, capsys, "was measured on another penn_treebank", "files_sha256", "results.json")
    refused([*arguments, "--seed", "2"], capsys, "was measured on another penn_treebank")
    assert (table / "results.json").read_bytes() == before


def test_a_row_whose_settings_have_changed_is_refused(tmp_path, capsys):
    table, arguments = recorded(tmp_path)
    (table / "tiny.yaml").write_text(ROW.replace("epochs: 3", "epochs: 4"))
    refused(arguments, capsys, "tiny, seed 1, with another trainer.epochs", "its own name")


def test_a_run_that_is_recorded_without_its_settings_is_refused(tmp_path, capsys):
    table, arguments = recorded(tmp_path)
    [found] = Records(table).runs()
    (table / "results.json").write_text(json.dumps({"runs": [{k: v for k, v in found.items() if k != "overrides"}]}))
    refused(arguments, capsys, "tiny, seed 1, without its settings (overrides)", "remove that run")


def test_the_commit_says_modified_wherever_the_row_is(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for folder in ("models", "components", "pipeline", "experiments"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file.yaml").write_text("a: 1\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(rows, "REPOSITORY", tmp_path)
    inside, outside = tmp_path / "experiments" / "file.yaml", tmp_path.parent / "outside.yaml"
    assert rows.commit(inside) == rows.commit(outside) and len(rows.commit(inside)) == 40
    inside.write_text("a: 2\n")
    assert rows.commit(inside).endswith("-modified") and not rows.commit(outside).endswith("-modified")
    (tmp_path / "models" / "file.yaml").write_text("a: 2\n")
    assert rows.commit(outside).endswith("-modified")


def test_a_damaged_results_file_is_refused_before_anything_is_trained(tmp_path, capsys):
    table, arguments = recorded(tmp_path)
    (table / "results.json").write_text("{")
    refused(arguments, capsys, f"{table / 'results.json'} is damaged")
    assert (table / "results.json").read_text() == "{"


def test_wrong_rows_are_reported_as_the_pipeline_reports_them(tmp_path, capsys):
    table, arguments = recorded(tmp_path)
    for line, words in (
        ("loss: {gama: 0.2}", ["loss.gama (from tiny.yaml) is not a configuration key", "loss.gamma"]),
        ("trainer: {epochs: -1}", ["trainer.epochs (from tiny.yaml): found -1"]),
        ("loss: [", ["tiny.yaml is not valid YAML"]),
    ):
        (table / "tiny.yaml").write_text(line)
        refused(arguments, capsys, *words)
    refused(["tinny", *arguments[1:]], capsys, "NAME: found 'tinny'", "The nearest is tiny.")


def test_a_missing_data_dir_is_bad_usage(tmp_path, capsys):
    _, arguments = recorded(tmp_path)
    place = arguments.index("--data-dir")
    with pytest.raises(SystemExit) as error:
        run.main(arguments[:place] + arguments[place + 2 :])
    assert error.value.code == USAGE_ERROR and "DATA_DIR" in capsys.readouterr().err
    arguments[place + 1] = str(tmp_path / "nowhere")
    with pytest.raises(SystemExit) as error:
        run.main(arguments)
    assert error.value.code == USAGE_ERROR and "found no folder at" in capsys.readouterr().err
    done = subprocess.run(["make", "-n", "experiment", "NAME=tiny"], cwd=REPOSITORY, capture_output=True, text=True)
    assert "experiments.run tiny" in done.stdout


def test_epochs_are_read_while_they_are_trained(tmp_path):
    assert run.history_so_far(tmp_path) == []
    workspace = work_folder(tmp_path, "Trainer") / "key"
    workspace.mkdir(parents=True)
    (workspace / HISTORY.file).write_text('{"epochs": [')  # as a full disk leaves it
    assert run.history_so_far(tmp_path) == []
    HISTORY.write(workspace, {"steps_per_epoch": 9, "best_epoch": 1, "epochs": [samples.epoch(1)]})
    assert run.history_so_far(tmp_path) == [samples.epoch(1)]
    earlier = tmp_path / "Trainer/model_run/5"  # of a training whose record was removed
    earlier.mkdir(parents=True)
    epochs = [samples.epoch(1), samples.epoch(2)]
    HISTORY.write(earlier, {"steps_per_epoch": 9, "best_epoch": 2, "epochs": epochs})
    assert run.history_so_far(tmp_path) == epochs
    assert run.history_so_far(tmp_path, {earlier / HISTORY.file}) == [samples.epoch(1)]


@pytest.mark.parametrize("file", sorted(REPOSITORY.glob("experiments/*/*.yaml")), ids=lambda file: file.stem)
def test_every_row_is_a_configuration_the_pipeline_takes(file, tmp_path):
    from pipeline import config

    configuration = config.load(file)
    assert configuration.settings.example_gen.dataset in ("penn_treebank", "wikitext2")
    if file.stem.startswith(("small", "medium", "large")):
        assert configuration.settings.model.preset in file.stem
