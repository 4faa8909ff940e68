"""Beam's portable runner, which submits to a job service as those of Flink and Spark are; here to Beam's own in Python.

The job server of Flink itself comes as a jar from Maven Central, which could not be had where these tests were written.
"""

import socket
import subprocess
import sys
import time

import pytest

from pipeline import score
from tests.components.evaluator.world import World
from tests.distributed.data_run import EMBEDDED, PTB_SETTINGS, REPOSITORY, contents, of_corpus, run, start

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def beam_args(tmp_path_factory):
    """Those that submit to a job service in a process of its own."""
    folder = tmp_path_factory.mktemp("service")
    port_file = folder / "port"
    module = "apache_beam.runners.portability.local_job_service_main"
    command = [sys.executable, "-m", module, "--port_file", str(port_file), "--staging_dir", str(folder / "staging")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not (port_file.is_file() and port_file.read_text()):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        endpoint = f"--job_endpoint=localhost:{port_file.read_text().strip()}"
        yield ["--runner=PortableRunner", endpoint, "--environment_type=LOOPBACK"]
    finally:
        process.kill()
        process.wait()


def test_the_service_writes_the_bytes_of_the_embedded_runner(beam_args, corpus, expected, tmp_path):
    run(tmp_path / "root", beam_args, of_corpus(corpus))
    assert contents(tmp_path / "root") == expected


def test_the_penn_treebank_gives_the_same_bytes(beam_args, ptb_dir, tmp_path):
    settings = [*PTB_SETTINGS, f"example_gen.data_dir={ptb_dir}"]
    run(tmp_path / "embedded", EMBEDDED, settings)
    run(tmp_path / "service", beam_args, settings)
    assert contents(tmp_path / "service") == contents(tmp_path / "embedded")


def test_scoring_writes_the_same_lines(beam_args, tmp_path, monkeypatch):
    model = World(tmp_path / "world").root / "good" / "Format-Serving"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("alpha beta gamma\n\ndelta epsilon never-seen\n" * 40)
    for name, options in (("embedded", EMBEDDED), ("service", beam_args)):
        arguments = ["text.txt", "--output", name, "--model", str(model)]
        assert score.main([*arguments, *(f"--beam-arg={option}" for option in options)]) == 0
    assert (tmp_path / "service").read_bytes() == (tmp_path / "embedded").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        ["--runner=PortableRunner", "--job_endpoint={address}", "--environment_type=LOOPBACK"],
        ["--runner=FlinkRunner", "--flink_master={address}", "--environment_type=LOOPBACK"],
    ],
    ids=["job service", "Flink"],
)
def test_what_does_not_answer_is_refused_before_anything_is_written(options, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"  # nobody listens there once it is closed
    process = start(tmp_path / "root", [option.format(address=address) for option in options], [])
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2 and not (tmp_path / "root").exists()
    assert f"nothing answers at {address}" in errors and "Traceback" not in errors
