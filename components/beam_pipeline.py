"""The little that all Beam components share: how a pipeline is run, and how its workers hand over what they found."""

import contextlib
import json
import logging
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.artifacts.examples import ExamplesShard
from components.base import ComponentError

CLOSING_SECONDS = 10.0  # for a runner that may have lost its scheduler
READER = "wait_until_finish_read"  # the thread in which the portable runner reads a job's messages
ENGINES = ("distributed", "grpc")  # packages whose errors say that an engine or its workers were lost


@contextlib.contextmanager
def pipeline(beam_args: Sequence[str]) -> Iterator[beam.Pipeline]:
    """Runs a Beam pipeline with the options of `beam.args` when its block ends.

    Raises:
        ComponentError: If Beam does not know the arguments, or a worker raised one.
    """
    logging.getLogger("apache_beam").setLevel(logging.WARNING)  # else the runner reports every stage
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)  # tracebacks of what it raises anyway
    try:
        root = beam.Pipeline(options=PipelineOptions(list(beam_args)))
    except (ValueError, SystemExit) as error:
        raise ComponentError(f"beam.args {list(beam_args)} cannot be used: {error}.") from error
    # Only now, since Dask sets its loggers' levels when it is imported: what it says of a loss is raised anyway.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        with _errors_of_jobs_once(), root:
            yield root
        # Dask's runner takes what its scheduler never finished for done, so ask.
        lost = [future.status for future in getattr(root.result, "futures", ()) if future.status != "finished"]
        if lost:
            raise ComponentError(_lost(f"a task is {lost[0]}", beam_args))
    except Exception as error:
        # Runners raise a worker's error as one of their own, whose message ends with the worker's traceback.
        # A job server's message has the whole traceback, in which that error comes more than once: take the last.
        found = re.match(rf"(?s).*{ComponentError.__name__}: (.*?) \[while running", str(error))
        if found is not None:
            raise ComponentError(found[1]) from error
        if type(error).__module__.partition(".")[0] in ENGINES:
            raise ComponentError(_lost(f"{type(error).__name__}: {error}", beam_args)) from error
        job = re.match(r"(?s)Pipeline \S+ failed in state (\w+): (.*)", str(error))  # a job server's verdict
        if job is not None:
            raise ComponentError(
                f"Beam's job ended as {job[1]}: {_essence(job[2])}. The job server's log has more. Check the workers "
                f"that beam.args {list(beam_args)} name, then start the same command again."
            ) from error
        raise
    finally:
        client = getattr(getattr(root, "result", None), "client", None)
        if client is not None:  # Dask's, which its runner leaves open
            client.close(timeout=CLOSING_SECONDS)


@contextlib.contextmanager
def _errors_of_jobs_once() -> Iterator[None]:
    """Keeps the portable runner from printing tracebacks, on the root logger and from its thread, of what it raises."""
    root_logger, hook = logging.getLogger(), threading.excepthook

    def not_of_a_job(record: logging.LogRecord) -> bool:
        return record.module != "portable_runner" or record.levelno < logging.ERROR

    root_logger.addFilter(not_of_a_job)
    threading.excepthook = lambda found: None if getattr(found.thread, "name", "") == READER else hook(found)
    try:
        yield
    except BaseException:
        for thread in threading.enumerate():
            if thread.name == READER:  # it fails a moment later than the pipeline
                thread.join(CLOSING_SECONDS)
        raise
    finally:
        threading.excepthook = hook
        root_logger.removeFilter(not_of_a_job)


def _essence(text: str) -> str:
    """The exception at the end of a traceback, in one line; any other text as it is."""
    exceptions = list(re.finditer(r"^[\w.]+: ", text, re.MULTILINE))
    return " ".join(text[exceptions[-1].start() if exceptions else 0 :].split())


def _lost(found: str, beam_args: Sequence[str]) -> str:
    return (
        f"Beam's runner lost its scheduler or its workers ({found}). Check that those of beam.args {list(beam_args)} "
        "run and have memory enough, then start the same command again."
    )


@contextlib.contextmanager
def writing_aside(path: Path) -> Iterator[Path]:
    """A file of this attempt's own beside `path`, which takes its place once it is whole.

    Runners try an element again where a worker is lost, and may try it on two machines at once.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def keep(results: beam.PCollection, folder: Path) -> beam.PCollection:
    """Writes each result as a JSON file: elements are pairs of a name, the same at each attempt, and a result.

    What the driver, or the next pipeline, needs of the workers goes through such files, not through side inputs: some
    runners compute those again for each bundle. Read them by `kept` once the pipeline has ended.
    """
    return results | "Keep" >> beam.Map(_write_result, str(folder))


def _write_result(named: tuple[str, Any], folder: str) -> None:
    name, result = named
    with writing_aside(Path(folder) / f"{name}.result") as aside:
        aside.write_text(json.dumps(result))


def kept(folder: Path, expected: int) -> list[Any]:
    """The results that `keep` wrote, by name.

    Raises:
        RuntimeError: If there are not as many as `expected`: the runner did not run every element.
    """
    paths = sorted(Path(folder).glob("[!.]*.result"))
    if len(paths) != expected:
        raise RuntimeError(f"The Beam runner returned {len(paths)} results of {expected}.")
    return [json.loads(path.read_text()) for path in paths]


def read_shards(root: beam.Pipeline, shards: Sequence[ExamplesShard]) -> beam.PCollection:
    """Makes one element of each shard; the runner may work on them at once and in any order."""
    return root | "Shards" >> beam.Create(shards, reshuffle=True)
