"""A tiny model that the real command trained and pushed, and the command that exports it, for tests of exporting."""

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from models.text.token_stream import TokenStream
from pipeline import export as command_line
from tests.components.evaluator.world import TEXTS

REPOSITORY = Path(__file__).parents[3]
TRAINING = {
    "example_gen.dataset": "text_files",
    "vocabulary.min_count": 1,
    "model.units": 16,
    "model.dropout": 0.1,
    "trainer.epochs": 4,
    "trainer.batch_size": 8,
    "trainer.precision": "float32",
    "beam.args": "[--runner=FnApiRunner]",
}


def train_and_push(texts, root, **changes):
    """Runs the pipeline on a few lines of text, which it writes to `texts`."""
    for split, text in TEXTS.items():
        (texts / f"{split}.txt").write_text(text)
    values = TRAINING | {"pipeline.root": root, "example_gen.data_dir": texts} | changes
    assignments = [argument for key, value in values.items() for argument in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "pipeline.run", "--local", *assignments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@dataclass
class Done:
    """The exit code and the output of a command that ran in this process."""

    returncode: int
    stdout: str
    stderr: str


def export(root, form, folder, *arguments):
    """Runs the command in this process, which has TensorFlow already."""
    output, errors = io.StringIO(), io.StringIO()
    command = ["--format", form, "--output", folder, "--set", f"pipeline.root={root}", *arguments]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = command_line.main([str(argument) for argument in command])
    return Done(code, output.getvalue(), errors.getvalue())


def evaluation(root):
    path = max(root.glob("Evaluator/evaluation/*/evaluation.json"), key=lambda path: int(path.parent.name))
    return json.loads(path.read_text())["splits"]


def tokens(root, split):
    (path,) = root.glob(f"Transform/transformed_examples/*/Split-{split}")
    return TokenStream(path)[:]


def header(folder):
    """The metadata in front of the card."""
    before, metadata, _ = (folder / "README.md").read_text().split("---\n", 2)
    assert not before
    return yaml.safe_load(metadata)


def card_values(folder):
    (model,) = header(folder)["model-index"]
    return {result["dataset"]["split"]: result["metrics"][0]["value"] for result in model["results"]}
