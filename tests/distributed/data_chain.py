"""Runs the data components with the real command on any Beam runner, and reads their outputs."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
EMBEDDED = ["--runner=FnApiRunner"]
DATA_COMPONENTS = {"ExampleGen", "StatisticsGen", "ExampleValidator", "VocabularyGen", "Transform"}
WAIT_SECONDS = 300


def start(root, beam_args, settings):
    """Starts the real command, up to Transform."""
    settings = [f"pipeline.root={root}", f"beam.args={beam_args!r}", *settings]
    assignments = [argument for setting in settings for argument in ("--set", setting)]
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.run", "--local", "--until", "Transform", *assignments],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def of_corpus(folder):
    return [
        "example_gen.dataset=text_files", f"example_gen.data_dir={folder}", "example_gen.chunk_bytes=65536",
        "example_validator.max_invalid_fraction=0.5",
    ]  # fmt: skip


def run(*arguments):
    process = start(*arguments)
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    return output


def contents(root):
    """Returns the components' files: name without the execution's number -> digest."""
    files = {}
    for path in root.glob("[A-Z]*/*/*/**/*"):
        component, output, _, *rest = path.relative_to(root).parts
        if path.is_file() and component in DATA_COMPONENTS and not output.startswith("."):
            files["/".join([component, output, *rest])] = hashlib.sha256(path.read_bytes()).hexdigest()
    return files


def wait_for(condition, seconds=WAIT_SECONDS):
    """Returns the condition's first true value."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "It did not happen in time."
        time.sleep(0.05)
    return found
