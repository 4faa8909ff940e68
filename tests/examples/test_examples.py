"""Each example runs as it is written and prints what its docstring describes."""

import json
import re
import signal
import subprocess
import sys

import pytest

from tests.examples.conftest import REPOSITORY, SMALL, run

pytestmark = pytest.mark.slow


def test_training_on_your_text_pushes_a_model(trained):
    root, done = trained
    assert done.returncode == 0, done.stderr
    data, whole = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert data["pushed_model"] is None and data["components"]["Trainer"]["status"] == "skipped"
    assert whole["blessed"] and (root / "serving" / "1" / "saved_model.pb").is_file()
    assert whole["components"]["Transform"]["status"] == "cached"


def test_training_on_your_text_prints_its_usage():
    done = run("examples/train_on_your_text.sh")
    assert done.returncode != 0 and "usage: examples/train_on_your_text.sh FOLDER" in done.stderr


def test_keras_fit_learns_and_prints_ten_words():
    done = run(sys.executable, "-m", "examples.keras_fit", "the value of")
    assert done.returncode == 0, done.stderr
    perplexities = [float(found) for found in re.findall(r"val_perplexity: ([\d.]+)", done.stdout)]
    assert perplexities[-1] < 0.7 * perplexities[0]
    heading, *words = done.stdout.split("\nAfter ")[1].splitlines()
    assert heading == "'the value of':" and len(words) == 10


def test_the_server_answers_all_three_requests(trained):
    root, _ = trained
    command = [sys.executable, "-m", "pipeline.serve", "--model", str(root / "serving"), "--port", "0"]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = next(line for line in server.stderr if "The page is at" in line)
            address = re.search(r"The page is at (\S+)/,", line).group(1)
            done = run(sys.executable, "examples/call_server.py", "alpha beta gamma", address)
        finally:
            server.send_signal(signal.SIGTERM)
            server.stderr.read()
    assert done.returncode == 0, done.stderr
    assert server.returncode == 0
    first = done.stdout.splitlines()[1].split()
    assert first[0] == "delta" and 0 < float(first[1]) < 1  # the next word of the cycle
    assert re.search(r"^Perplexity of the text: [\d.]+ over 4 tokens$", done.stdout, re.MULTILINE)
    assert "A continuation: '" in done.stdout


def test_a_search_tries_the_configured_setting_and_others(texts, tmp_path):
    values = [f"pipeline.root={tmp_path}", "example_gen.dataset=text_files", f"example_gen.data_dir={texts}"]
    values += [*SMALL, "tuner.max_trials=2"]
    assignments = [argument for value in values for argument in ("--set", value)]
    command = [sys.executable, "-m", "pipeline.run", "--local", "--tune", "--config", "examples/search.yaml"]
    done = run(*command, "--until", "Tuner", *assignments)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("Tuner/best_hyperparameters/*/trials.json")
    trials = json.loads(path.read_text())
    assert len(trials["trials"]) == 2 and trials["ended_by"] == "trials"
    assert trials["default"]["values"] == {"learning_rate": 1.0, "dropout": 0.1, "units": 16}
    assert trials["best"]["valid_perplexity"] <= trials["default"]["valid_perplexity"]


def test_rescoring_corrects_the_recogniser_where_the_model_is_better(trained, tmp_path):
    root, _ = trained
    candidates = tmp_path / "candidates.tsv"
    lines = ["a\t-1.0\talpha delta beta gamma", "a\t-1.5\talpha beta gamma delta", "", "b\t-2.0\tzeta\u2028eta"]
    candidates.write_text("\n".join(lines) + "\n")
    done = run(sys.executable, "examples/rescore.py", str(root / "serving" / "1"), str(candidates), "1")
    assert done.returncode == 0, done.stderr
    first, second = (line.split("\t") for line in done.stdout.removesuffix("\n").split("\n"))
    assert first[0] == "a" and first[2] == "alpha beta gamma delta"
    assert second[0] == "b" and second[2] == "zeta\u2028eta" and float(second[1]) < -2.0


@pytest.mark.parametrize("line", ["a\t-1.0", "a\t-1.0\talpha\tbeta", "a\tone\talpha"])
def test_rescoring_names_a_line_that_it_cannot_read(tmp_path, line):
    (tmp_path / "candidates.tsv").write_text(f"a\t-1.0\talpha\n{line}\n")
    done = run(sys.executable, "examples/rescore.py", str(tmp_path), str(tmp_path / "candidates.tsv"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"candidates.tsv, line 2: found {line!r}; expected a name, a score and a text" in done.stderr
