"""Two workers of the real command train to the digits of one process with two replicas, even if one is killed."""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.exit_codes import FAILED

pytestmark = pytest.mark.distributed

REPOSITORY = Path(__file__).parents[2]
EPOCHS = 3


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Settings of a small training, in float32, as bfloat16 products are not exact enough."""
    folder, generator = tmp_path_factory.mktemp("text"), random.Random(1)
    words = [f"w{number}" for number in range(300)]
    weights = [1 / (number + 1) for number in range(300)]
    for name, lines in (("train", 3000), ("valid", 300), ("test", 300)):
        rows = [" ".join(generator.choices(words, weights, k=8)) for _ in range(lines)]
        (folder / f"{name}.txt").write_text("\n".join([*rows, ""]))
    return [
        "example_gen.dataset=text_files", f"example_gen.data_dir={folder}", "vocabulary.tokenizer=whitespace",
        "model.units=16", "trainer.precision=float32", f"trainer.epochs={EPOCHS}", "trainer.checkpoint_seconds=0.2",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def prepared(settings, tmp_path_factory):
    """A root in which the data components have run."""
    root = tmp_path_factory.mktemp("prepared") / "root"
    process = start(root, settings, until="Transform")
    assert finish(process)[0] == 0
    return root


@pytest.fixture(scope="module")
def expected(settings, prepared, tmp_path_factory):
    """The root of one process with two replicas, and its summary."""
    root = shutil.copytree(prepared, tmp_path_factory.mktemp("one") / "root")
    code, output, errors = finish(start(root, [*settings, "trainer.replicas=2"]))
    assert code == 0, errors
    return root, json.loads(output.splitlines()[-1])


def start(root, settings, until="Trainer", environment=None):
    assignments = [argument for setting in [f"pipeline.root={root}", *settings] for argument in ("--set", setting)]
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.run", "--local", "--until", until, *assignments],
        cwd=REPOSITORY, env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **(environment or {})},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process, seconds=400):
    try:
        output, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, output, errors


def free_ports():
    """Returns two free ports."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return [server.getsockname()[1] for server in (one, other)]


def worker(root, settings, index, ports, **options):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
    settings = [*settings, "trainer.strategy=multi_worker_mirrored"]
    return start(root, settings, environment={"TF_CONFIG": json.dumps(task)}, **options)


def history(root):
    """Returns the record of each epoch without its times."""
    [file] = root.glob("Trainer/model_run/*/history.json")
    return [{key: v for key, v in r.items() if "second" not in key} for r in json.loads(file.read_text())["epochs"]]


def weights(root):
    [file] = root.glob("Trainer/model/*/model.weights.h5")
    found = {}
    with h5py.File(file) as content:
        content.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def assert_same_training(root, expected):
    assert len(history(root)) == EPOCHS and history(root) == history(expected)
    found, of_one_process = weights(root), weights(expected)
    assert found.keys() == of_one_process.keys() and len(found) >= 4
    for name, value in of_one_process.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def places(root):
    """Returns the files below a root, without the time and process in their names."""
    files = [path.relative_to(root) for path in root.rglob("*") if "runs" not in path.parts and not path.is_dir()]
    return sorted(str(path).partition(".tfevents.")[0] for path in files)


def test_two_workers_train_to_the_digits_of_two_replicas(settings, prepared, expected, tmp_path):
    root, ports = shutil.copytree(prepared, tmp_path / "root"), free_ports()
    processes = [worker(root, settings, index, ports) for index in (1, 0)]
    (code, output, errors), (chief_code, chief_output, chief_errors) = (finish(process) for process in processes)
    assert (code, chief_code) == (0, 0), errors + chief_errors
    assert_same_training(root, expected[0])
    summaries = [json.loads(text.splitlines()[-1]) for text in (output, chief_output)]
    assert [summary["replicas"] for summary in summaries] == [2, 2]
    assert {summary["valid_perplexity"] for summary in summaries} == {expected[1]["valid_perplexity"]}
    assert summaries[0]["components"].keys() == {"Trainer"}
    # The chief alone has written: the files are those of one process, and one run was added.
    assert places(root) == places(expected[0])
    assert len(list((root / "runs").iterdir())) == len(list((expected[0] / "runs").iterdir()))


@pytest.mark.parametrize("victim", [0, 1], ids=["chief", "worker"])
def test_a_killed_process_ends_the_other_and_all_resume(victim, settings, prepared, expected, tmp_path):
    root, ports = shutil.copytree(prepared, tmp_path / "root"), free_ports()
    processes = [worker(root, settings, index, ports) for index in (0, 1)]
    for line in processes[0].stderr:
        if line.startswith("epoch   1/"):
            break
    processes[victim].send_signal(signal.SIGKILL)
    clock = time.monotonic()
    code, output, errors = finish(processes[1 - victim], seconds=120)
    assert code == 1 and time.monotonic() - clock < 60
    assert f"worker {victim}" in errors and "training resumes from its last checkpoint" in errors
    assert "Traceback" not in errors and json.loads(output.splitlines()[-1])["exit"] == FAILED
    finish(processes[victim])
    assert not list(root.glob("Trainer/*/*"))

    processes = [worker(root, settings, index, ports) for index in (1, 0)]
    ends = [finish(process) for process in processes]
    assert [code for code, *_ in ends] == [0, 0], ends
    assert all("Resuming from the checkpoint at epoch" in errors for *_, errors in ends)
    assert_same_training(root, expected[0])


def test_another_configuration_is_refused_by_both(settings, tmp_path):
    ports = free_ports()
    processes = [worker(tmp_path / "root", [*settings, f"trainer.seed={index + 7}"], index, ports) for index in (0, 1)]
    for code, output, errors in map(finish, processes):
        assert code == 2 and not output
        assert f"worker 1 (127.0.0.1:{ports[1]}) differs from the chief in trainer.seed." in errors
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("index", [0, 1])
def test_a_missing_worker_is_named_in_bounded_time(index, settings, tmp_path):
    ports, clock = free_ports(), time.monotonic()
    code, output, errors = finish(worker(tmp_path / "root", [*settings, "trainer.meeting_seconds=2"], index, ports))
    assert code == 2 and not output and time.monotonic() - clock < 60
    assert f"(127.0.0.1:{ports[1 - index]}) did not come within 2 s (trainer.meeting_seconds)" in errors
    assert "Traceback" not in errors and not (tmp_path / "root").exists()


def test_a_port_in_use_is_named(settings, tmp_path):
    ports = free_ports()
    with socket.create_server(("127.0.0.1", ports[0])):
        code, _, errors = finish(worker(tmp_path / "root", settings, 0, ports))
    assert code == 2 and f"TF_CONFIG names 127.0.0.1:{ports[0]}" in errors and "its port is in use" in errors


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "TF_CONFIG: found '{', no JSON"), ("", "TF_CONFIG is not set"), ("[1]", "TF_CONFIG: .* in '\\[1\\]'")],
)
def test_a_tf_config_that_cannot_be_used_is_refused(text, message, settings, tmp_path):
    settings = [*settings, "trainer.strategy=multi_worker_mirrored"]
    code, _, errors = finish(start(tmp_path / "root", settings, environment={"TF_CONFIG": text}))
    assert code == 2 and not (tmp_path / "root").exists()
    assert re.search(message, errors), errors


@pytest.mark.parametrize("assignment", ["trainer.batch_size=7", "trainer.replicas=5"])
def test_sizes_that_the_workers_do_not_divide_are_refused(assignment, settings, tmp_path):
    code, _, errors = finish(worker(tmp_path / "root", [*settings, assignment], 0, free_ports()))
    name, _, value = assignment.partition("=")
    assert code == 2 and not (tmp_path / "root").exists()
    assert f"{name}: found {value}, expected a multiple of the 2 workers in TF_CONFIG" in errors
