"""SIGTERM and Ctrl-C to the command alone, while its worker and training processes run."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]
WORKERS = 'beam.args=["--direct_running_mode=multi_processing", "--direct_num_workers=2"]'


@pytest.fixture
def corpus(tmp_path) -> Path:
    words, folder = [f"word{i}" for i in range(30)], tmp_path / "corpus"
    folder.mkdir()
    for name, lines in (("train", 400), ("valid", 30), ("test", 30)):
        text = "".join(" ".join(random.Random(i).choices(words, k=8)) + "\n" for i in range(lines))
        (folder / f"{name}.txt").write_text(text)
    return folder


def start(root: Path, corpus: Path, *assignments: str) -> subprocess.Popen:
    values = (
        f"pipeline.root={root}",
        "example_gen.dataset=text_files",
        f"example_gen.data_dir={corpus}",
        "model.units=8",
        "trainer.epochs=100000",
        *assignments,
    )
    options = [part for value in values for part in ("--set", value)]
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.run", "--local", *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(process: subprocess.Popen, sign: str, seconds: float = 120) -> str:
    """Returns the command's output up to the line with `sign`, one space between words; kills it if that is missing."""
    timer = threading.Timer(seconds, lambda: os.killpg(process.pid, signal.SIGKILL))
    timer.start()
    text = ""
    for line in process.stderr:
        line = " ".join(line.split())
        text += line + "\n"
        if sign in line:
            timer.cancel()
            return text
    timer.cancel()
    raise AssertionError(text)


def end(process: subprocess.Popen, number: signal.Signals) -> str:
    """Sends a signal to the command alone; returns its output until it and its child processes have ended."""
    process.send_signal(number)
    output, errors = process.communicate(timeout=10)
    assert output == "" and "Traceback" not in errors
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    deadline = time.monotonic() + 5
    while alive := in_session(process.pid):
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)
    return errors


def in_session(session: int) -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_beams_workers_end_with_the_command(tmp_path, corpus, number):
    process = start(tmp_path / "root", corpus, WORKERS)
    wait_for(process, "StatisticsGen started")
    deadline = time.monotonic() + 60
    while len(in_session(process.pid)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    assert "Run the same command again to resume" in end(process, number)


def test_training_ends_with_a_checkpoint_and_resumes_from_it(tmp_path, corpus):
    process = start(tmp_path / "root", corpus)
    wait_for(process, "epoch 3/100000")
    time.sleep(0.2)
    assert "training continues from its checkpoint" in end(process, signal.SIGTERM)
    (folder,) = (tmp_path / "root" / ".work" / "Trainer").iterdir()
    assert time.time() - (folder / "latest.npz").stat().st_mtime < 15
    process = start(tmp_path / "root", corpus)
    assert "Trainer started" in wait_for(process, "Resuming from the checkpoint at epoch")
    end(process, signal.SIGINT)
    (folder / "latest.npz").write_bytes(b"junk")
    process = start(tmp_path / "root", corpus)
    text = wait_for(process, "epoch 1/100000")
    assert f"The checkpoint {folder / 'latest.npz'} is damaged" in text
    end(process, signal.SIGTERM)
