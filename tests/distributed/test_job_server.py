"""Beam's job API, which Flink and Spark use: the embedded runner's bytes from jobs submitted to another process."""

import json
import time

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_runner_api_pb2

from components import beam_pipeline
from components.base import ComponentError
from pipeline.exit_codes import FAILED
from tests.distributed import runners
from tests.distributed.data_chain import contents, of_corpus, run, start, wait_for
from tests.distributed.job_server import JobServer, free_port

pytestmark = pytest.mark.distributed

# What every portable runner must support, by its name in Beam's model. Beam splits combinations before it submits.
COMBINE = [f"combine_per_key_{step}" for step in ("precombine", "merge_accumulators", "extract_outputs")]
PORTABLE = {
    f"beam:transform:{name}:v1" for name in ("impulse", "pardo", "flatten", "group_by_key", "reshuffle", *COMBINE)
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
        assert job.pipeline_options["beam:option:flink_master:v1"] == "127.0.0.1:8081"
        assert job.pipeline_options["beam:option:parallelism:v1"] == "2"
        environments = {environment.urn for environment in pipeline.components.environments.values()}
        assert environments == {"beam:env:external:v1"}
        transforms = pipeline.components.transforms.values()
        assert {found.spec.urn for found in transforms if not found.subtransforms} <= PORTABLE
        for found in transforms:
            if found.spec.urn == "beam:transform:pardo:v1":
                assert not beam_runner_api_pb2.ParDoPayload.FromString(found.spec.payload).side_inputs


def test_the_penn_treebank_gives_the_same_bytes(server, ptb_dir, tmp_path):
    runners.check_treebank(server.beam_args, ptb_dir, tmp_path)


def test_the_evaluators_windows_are_the_same_numbers(server, world, tmp_path, monkeypatch):
    runners.check_windows(server.beam_args, world, tmp_path, monkeypatch)


def test_scoring_writes_the_same_lines(server, world, tmp_path, monkeypatch):
    runners.check_scoring(server.beam_args, world, tmp_path, monkeypatch)


def test_a_run_ends_when_the_job_server_dies_and_resumes_when_it_is_back(corpus, expected, tmp_path):
    (tmp_path / "server").mkdir()
    with JobServer(tmp_path / "server") as server:
        process = start(tmp_path / "root", server.beam_args, of_corpus(corpus))
        wait_for(lambda: len(server.jobs()) == 2)  # ExampleGen's job has ended
        server.process.kill()
        clock = time.monotonic()
        _, errors = process.communicate(timeout=180)
        assert process.returncode == FAILED and time.monotonic() - clock < 60
        assert "lost its scheduler or its workers" in errors and "Traceback" not in errors
        assert not list((tmp_path / "root" / "StatisticsGen").glob("statistics/*"))
        server.process.wait()
        server.start_server()
        output = run(tmp_path / "root", server.beam_args, of_corpus(corpus))
    assert json.loads(output)["components"]["ExampleGen"]["status"] == "cached"
    assert contents(tmp_path / "root") == expected


def test_a_job_without_workers_ends_the_run_with_a_message(server, corpus, tmp_path):
    nobody = f"--environment_config=127.0.0.1:{free_port()}"
    process = start(tmp_path / "root", [*server.beam_args[:-1], nobody], of_corpus(corpus))
    _, errors = process.communicate(timeout=180)
    assert process.returncode == FAILED
    assert "Beam's job ended as FAILED: " in errors and "Failed to connect to remote host" in errors
    assert "Traceback" not in errors  # it is in error.log
    assert not list((tmp_path / "root" / "ExampleGen").glob("examples/*"))


def refuse(number):
    raise ComponentError(f"text.txt: found {number}.")


def test_a_workers_error_is_in_the_message(server):
    with (
        pytest.raises(ComponentError, match=r"^text.txt: found 7\.$"),
        beam_pipeline.open_pipeline(server.beam_args) as root,
    ):
        root | beam.Create([7]) | beam.Map(refuse)


@pytest.mark.parametrize("command", ["run", "score"])
def test_a_job_server_that_does_not_answer_is_refused_before_anything_is_written(world, tmp_path, command, capfd):
    beam_args = ["--runner=PortableRunner", "--job_endpoint=127.0.0.1:9", "--environment_type=LOOPBACK"]
    errors = runners.refusal(beam_args, command, world, tmp_path, capfd)
    assert "no job server answers at 127.0.0.1:9 within 10 s" in errors
