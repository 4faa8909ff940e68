"""Beam's job API, which Flink and Spark use: the embedded runner's bytes from jobs submitted to another process."""

import time

import numpy as np
import pytest
from apache_beam.portability.api import beam_job_api_pb2

from components.evaluator import exported_model, sharded_reading
from models.text.token_stream import TokenStream, TokenWriter, write_index
from pipeline import score
from pipeline.scoring import with_beam
from tests.distributed.data_chain import EMBEDDED, contents, of_corpus, run, start, wait_for
from tests.distributed.job_server import JobServer, free_port

pytestmark = pytest.mark.distributed

PORTABLE = {  # what every portable runner has to know, by the name in Beam's model
    f"beam:transform:{name}:v1" for name in ("impulse", "pardo", "flatten", "group_by_key", "reshuffle")
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with JobServer(tmp_path_factory.mktemp("server")) as server:
        yield server


def test_jobs_write_the_bytes_of_the_embedded_runner(server, corpus, expected, tmp_path):
    before = len(server.jobs())
    run(tmp_path / "root", server.beam_args, of_corpus(corpus))
    assert contents(tmp_path / "root") == expected
    jobs = server.jobs()[before:]
    assert len(jobs) >= 4
    for job, pipeline in jobs:
        assert job.state == beam_job_api_pb2.JobState.DONE
        assert job.pipeline_options["beam:option:flink_master:v1"] == "http://127.0.0.1:8081"
        assert job.pipeline_options["beam:option:parallelism:v1"] == "2"
        environments = {environment.urn for environment in pipeline.components.environments.values()}
        assert environments == {"beam:env:external:v1"}
        transforms = pipeline.components.transforms.values()
        assert {found.spec.urn for found in transforms if not found.subtransforms} <= PORTABLE


def test_the_penn_treebank_gives_the_same_bytes(server, ptb_dir, tmp_path):
    settings = [
        "example_gen.dataset=penn_treebank",
        f"example_gen.data_dir={ptb_dir}",
        "example_gen.chunk_bytes=1000000",
    ]
    run(tmp_path / "embedded", EMBEDDED, settings)
    run(tmp_path / "jobs", server.beam_args, settings)
    assert contents(tmp_path / "jobs") == contents(tmp_path / "embedded")


def test_the_evaluators_windows_are_the_same_numbers(server, world, tmp_path, monkeypatch):
    with TokenWriter(tmp_path / "tokens") as writer:
        writer.write(np.resize(world.targets("train"), 3500))
    write_index(tmp_path, [("tokens", writer.counts)])
    model = exported_model.ExportedModel(world.root / "good" / "Format-Serving")
    monkeypatch.setattr(sharded_reading, "SHARD_PROBABILITIES", 1)  # a shard for each window
    streams = [TokenStream(tmp_path)]
    embedded, jobs = (
        list(sharded_reading.windows(model, streams, runner, tmp_path)) for runner in (EMBEDDED, server.beam_args)
    )
    assert len(embedded) == 4
    for (row, one), (other_row, other) in zip(embedded, jobs, strict=True):
        assert (row, one.start) == (other_row, other.start)
        for name in ("targets", "rank", "log_probabilities", "top_probability"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_scoring_writes_the_same_lines(server, world, tmp_path, monkeypatch):
    monkeypatch.setattr(with_beam, "CHUNK_BYTES", 300)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("alpha beta gamma\n\ndelta epsilon never-seen\n" * 40)
    for name, beam_args in (("embedded", EMBEDDED), ("jobs", server.beam_args)):
        arguments = ["text.txt", "--output", name, "--model", str(world.root / "good" / "Format-Serving")]
        assert score.main([*arguments, *(f"--beam-arg={argument}" for argument in beam_args)]) == 0
    assert (tmp_path / "jobs").read_bytes() == (tmp_path / "embedded").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"text.txt", "embedded", "jobs"}


def test_a_job_server_that_dies_ends_the_run_which_resumes_on_another(corpus, expected, tmp_path):
    (tmp_path / "first").mkdir()
    with JobServer(tmp_path / "first") as first:
        process = start(tmp_path / "root", first.beam_args, of_corpus(corpus))
        wait_for(lambda: len(first.jobs()) == 2)  # ExampleGen's is done
        first.process.kill()
        clock = time.monotonic()
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 1 and time.monotonic() - clock < 60
    assert "lost its scheduler or its workers" in errors and "Traceback" not in errors
    assert not list((tmp_path / "root" / "StatisticsGen").glob("statistics/*"))
    (tmp_path / "second").mkdir()
    with JobServer(tmp_path / "second") as second:
        output = run(tmp_path / "root", second.beam_args, of_corpus(corpus))
    assert "cached" in output
    assert contents(tmp_path / "root") == expected


def test_a_job_that_fails_ends_the_run_with_its_message(server, corpus, tmp_path):
    nobody = f"--environment_config=127.0.0.1:{free_port()}"
    process = start(tmp_path / "root", [*server.beam_args[:-1], nobody], of_corpus(corpus))
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 1, errors
    assert "Beam's job failed" in errors and "failed to connect" in errors.lower() and "Traceback" not in errors
    assert not list((tmp_path / "root" / "ExampleGen").glob("examples/*"))
