"""Beam on Dask: the embedded runner's bytes from two workers, even if one of them is lost meanwhile."""

import time

import pytest

pytest.importorskip("distributed", reason="The extra `dask` is not installed: pip install -e '.[dask]'.")

from pipeline.config import beam_options  # noqa: E402
from pipeline.exit_codes import FAILED
from tests.distributed import runners  # noqa: E402
from tests.distributed.dask_cluster import RUNNER, Cluster  # noqa: E402
from tests.distributed.data_chain import contents, of_corpus, run, start, wait_for  # noqa: E402

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("dask")) as cluster:
        cluster.start_worker("first")
        cluster.start_worker("second")
        yield cluster


def test_two_workers_write_the_bytes_of_the_embedded_runner(cluster, corpus, expected, tmp_path):
    run(tmp_path / "root", cluster.beam_args, of_corpus(corpus))
    assert contents(tmp_path / "root") == expected


def test_workers_that_are_killed_meanwhile_change_nothing(cluster, corpus, expected, tmp_path):
    process = start(tmp_path / "root", cluster.beam_args, of_corpus(corpus))
    killed = []
    for line in process.stderr:
        if line.split()[:2] in (["ExampleGen", "started"], ["StatisticsGen", "started"], ["Transform", "started"]):
            killed.append(wait_for(cluster.busy))
            cluster.kill(killed[-1])
            cluster.start_worker(f"replacement {len(killed)}")
    assert process.wait(timeout=400) == 0 and len(killed) == 3
    assert contents(tmp_path / "root") == expected


def test_the_penn_treebank_gives_the_same_bytes(cluster, ptb_dir, tmp_path):
    runners.check_treebank(cluster.beam_args, ptb_dir, tmp_path)


def test_the_evaluators_windows_are_the_same_numbers(cluster, world, tmp_path, monkeypatch):
    runners.check_windows(cluster.beam_args, world, tmp_path, monkeypatch)


def test_scoring_writes_the_same_lines(cluster, world, tmp_path, monkeypatch):
    runners.check_scoring(cluster.beam_args, world, tmp_path, monkeypatch)


def test_a_scheduler_without_workers_or_that_dies_ends_the_run_with_a_message(corpus, tmp_path):
    (tmp_path / "dask").mkdir()
    with Cluster(tmp_path / "dask") as cluster:
        assert "has no workers" in beam_options.problem(cluster.beam_args)
        cluster.start_worker("only")
        process = start(tmp_path / "root", cluster.beam_args, of_corpus(corpus))
        wait_for(cluster.busy)
        cluster.scheduler.kill()
        clock = time.monotonic()
        _, errors = process.communicate(timeout=180)
        assert process.returncode == FAILED and time.monotonic() - clock < 120
    assert "lost its scheduler or its workers" in errors and "Traceback" not in errors
    assert not list((tmp_path / "root" / "ExampleGen").glob("examples/*"))


@pytest.mark.parametrize("command", ["run", "score"])
def test_a_scheduler_that_does_not_answer_is_refused_before_anything_is_written(world, tmp_path, command, capfd):
    beam_args = [RUNNER, "--dask_client_address=tcp://127.0.0.1:9", "--dask_connection_timeout=2"]
    errors = runners.refusal(beam_args, command, world, tmp_path, capfd)
    assert "no Dask scheduler answers at tcp://127.0.0.1:9 within 2 s" in errors
