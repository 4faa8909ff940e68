"""Beam on Dask: the embedded runner's bytes from two workers, whichever of them is lost on the way."""

import time

import numpy as np
import pytest

pytest.importorskip("distributed", reason="The extra `dask` is not installed: pip install -e '.[dask]'.")

from components.evaluator import exported_model, sharded_reading  # noqa: E402
from models.text.token_stream import TokenStream, TokenWriter, write_index  # noqa: E402
from pipeline import score  # noqa: E402
from pipeline.config import beam_options
from pipeline.scoring import with_beam  # noqa: E402
from tests.distributed.dask_cluster import RUNNER, Cluster  # noqa: E402
from tests.distributed.data_chain import EMBEDDED, contents, of_corpus, run, start, wait_for  # noqa: E402

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


def test_workers_that_are_killed_in_the_middle_change_nothing(cluster, corpus, expected, tmp_path):
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
    settings = [
        "example_gen.dataset=penn_treebank",
        f"example_gen.data_dir={ptb_dir}",
        "example_gen.chunk_bytes=1000000",
    ]
    run(tmp_path / "embedded", EMBEDDED, settings)
    run(tmp_path / "dask", cluster.beam_args, settings)
    assert contents(tmp_path / "dask") == contents(tmp_path / "embedded")


def test_the_evaluators_windows_are_the_same_numbers(cluster, world, tmp_path, monkeypatch):
    with TokenWriter(tmp_path / "tokens") as writer:
        writer.write(np.resize(world.targets("train"), 3500))
    write_index(tmp_path, [("tokens", writer.counts)])
    model = exported_model.ExportedModel(world.root / "good" / "Format-Serving")
    monkeypatch.setattr(sharded_reading, "SHARD_PROBABILITIES", 1)  # a shard for each window
    streams = [TokenStream(tmp_path)]
    embedded, dask = (
        list(sharded_reading.windows(model, streams, runner, tmp_path)) for runner in (EMBEDDED, cluster.beam_args)
    )
    assert len(embedded) == 4
    for (row, one), (other_row, other) in zip(embedded, dask, strict=True):
        assert (row, one.start) == (other_row, other.start)
        for name in ("targets", "rank", "log_probabilities", "top_probability"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_scoring_writes_the_same_lines(cluster, world, tmp_path, monkeypatch):
    monkeypatch.setattr(with_beam, "CHUNK_BYTES", 300)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("alpha beta gamma\n\ndelta epsilon never-seen\n" * 40)
    for name, beam_args in (("embedded", EMBEDDED), ("dask", cluster.beam_args)):
        arguments = ["text.txt", "--output", name, "--model", str(world.root / "good" / "Format-Serving")]
        assert score.main([*arguments, *(f"--beam-arg={argument}" for argument in beam_args)]) == 0
    assert (tmp_path / "dask").read_bytes() == (tmp_path / "embedded").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"text.txt", "embedded", "dask"}


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
        assert process.returncode == 1 and time.monotonic() - clock < 120
    assert "lost its scheduler or its workers" in errors and "Traceback" not in errors
    assert not list((tmp_path / "root" / "ExampleGen").glob("examples/*"))


@pytest.mark.parametrize("command", ["run", "score"])
def test_a_scheduler_that_does_not_answer_is_refused_before_anything_is_written(world, tmp_path, command, capfd):
    beam_args = [RUNNER, "--dask_client_address=tcp://127.0.0.1:9", "--dask_connection_timeout=2"]
    if command == "run":
        process = start(tmp_path / "root", beam_args, [])
        _, errors = process.communicate(timeout=180)
        code, left = process.returncode, []
    else:
        (tmp_path / "text.txt").write_text("alpha\n")
        model, output = world.root / "good" / "Format-Serving", tmp_path / "scores"
        arguments = [str(tmp_path / "text.txt"), "--output", str(output), "--model", str(model)]
        code = score.main([*arguments, *(f"--beam-arg={argument}" for argument in beam_args)])
        errors, left = capfd.readouterr().err, ["text.txt"]
    assert code == 2 and "no Dask scheduler answers at tcp://127.0.0.1:9 within 2 s" in errors
    assert [path.name for path in tmp_path.iterdir()] == left
