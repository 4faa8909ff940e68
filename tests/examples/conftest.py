"""A model that the first example trained and pushed, for the tests of the others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.components.evaluator.world import TEXTS

REPOSITORY = Path(__file__).parents[2]
SMALL = ["vocabulary.min_count=1", "model.units=16", "model.dropout=0.1", "trainer.batch_size=2", "trainer.epochs=2",
         "trainer.sequence_length=20", "trainer.precision=float32", "beam.args=[--runner=FnApiRunner]"]  # fmt: skip


def run(*command: str) -> subprocess.CompletedProcess:
    """Runs a command as a reader does: in the repository's root, with this Python as `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(list(command), cwd=REPOSITORY, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def texts(tmp_path_factory) -> Path:
    """A folder with train.txt, eval.txt and test.txt: lines that walk through a cycle of ten words."""
    folder = tmp_path_factory.mktemp("texts")
    for split, text in TEXTS.items():
        (folder / f"{split}.txt").write_text(text)
    return folder


@pytest.fixture(scope="session")
def trained(texts, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """The root that `train_on_your_text.sh` wrote, and what the script printed."""
    root = tmp_path_factory.mktemp("root")
    return root, run("examples/train_on_your_text.sh", str(texts), f"pipeline.root={root}", *SMALL)
