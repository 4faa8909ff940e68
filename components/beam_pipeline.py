"""Shared helpers of the Beam components: running a pipeline, and passing the workers' results on as files."""

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

CLOSING_SECONDS = 10.0  # longest wait for a runner that may have lost its scheduler
READER = "wait_until_finish_read"  # the thread in which the portable runner reads a job's messages
ENGINES = ("distributed", "grpc")  # packages whose errors say that an engine or its workers were lost


@contextlib.contextmanager
def open_pipeline(beam_args: Sequence[str]) -> Iterator[beam.Pipeline]:
    """Opens a Beam pipeline with the options of `beam.args` and runs it when the block ends.

    Args:
        beam_args: Options of Apache Beam, such as `--runner=FnApiRunner`.

    Yields:
        The pipeline, to which the block adds its transforms.

    Raises:
        ComponentError: If Beam rejects the options, a worker raised a ComponentError, or the runner lost its scheduler
            or its workers.
    """
    logging.getLogger("apache_beam").setLevel(logging.WARNING)  # otherwise the runner reports every stage
    # The runner raises these errors anyway, so their tracebacks are not logged.
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)
    try:
        root = beam.Pipeline(options=PipelineOptions(list(beam_args)))
    except (ValueError, SystemExit) as error:
        raise ComponentError(f"beam.args {list(beam_args)} cannot be used: {error}.") from error
    # Dask sets its loggers' levels when it is imported, so this comes after. Its errors are raised anyway.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        with _errors_of_jobs_once(), root:
            yield root
        # Dask's runner does not fail if its scheduler left a task unfinished, so check.
        unfinished = [future.status for future in getattr(root.result, "futures", ()) if future.status != "finished"]
        if unfinished:
            raise ComponentError(_lost_message(f"a task is {unfinished[0]}", beam_args))
    except Exception as error:
        if (explained := _explain(error, beam_args)) is not None:
            raise explained from error
        raise
    finally:
        client = getattr(getattr(root, "result", None), "client", None)
        if client is not None:  # Dask's runner leaves its client open
            client.close(timeout=CLOSING_SECONDS)


@contextlib.contextmanager
def _errors_of_jobs_once() -> Iterator[None]:
    """Keeps the portable runner from printing tracebacks of errors that it raises anyway.

    The runner prints them on the root logger and from its message thread.
    """
    root_logger, hook = logging.getLogger(), threading.excepthook

    def is_not_a_job_error(record: logging.LogRecord) -> bool:
        return record.module != "portable_runner" or record.levelno < logging.ERROR

    root_logger.addFilter(is_not_a_job_error)
    threading.excepthook = lambda args: None if getattr(args.thread, "name", "") == READER else hook(args)
    try:
        yield
    except BaseException:
        for thread in threading.enumerate():
            if thread.name == READER:  # this thread fails a moment later than the pipeline
                thread.join(CLOSING_SECONDS)
        raise
    finally:
        threading.excepthook = hook
        root_logger.removeFilter(is_not_a_job_error)


def _explain(error: Exception, beam_args: Sequence[str]) -> ComponentError | None:
    """Returns the ComponentError that a runner's error stands for, or None if there is none."""
    # Runners wrap a worker's error in one of their own, whose message ends with the worker's traceback.
    # A job server's message has the whole traceback, which repeats the error: take the last one.
    worker_error = re.match(rf"(?s).*{ComponentError.__name__}: (.*?) \[while running", str(error))
    if worker_error is not None:
        return ComponentError(worker_error[1])
    if type(error).__module__.partition(".")[0] in ENGINES:
        return ComponentError(_lost_message(f"{type(error).__name__}: {error}", beam_args))
    job = re.match(r"(?s)Pipeline \S+ failed in state (\w+): (.*)", str(error))  # a job server's message
    if job is not None:
        return ComponentError(
            f"Beam's job ended as {job[1]}: {_last_exception(job[2])}. The job server's log has more. Check the "
            f"workers that beam.args {list(beam_args)} name, then start the same command again."
        )
    return None


def _last_exception(text: str) -> str:
    """Returns the exception at the end of a traceback, in one line; any other text unchanged."""
    exceptions = list(re.finditer(r"^[\w.]+: ", text, re.MULTILINE))
    return " ".join(text[exceptions[-1].start() if exceptions else 0 :].split())


def _lost_message(reason: str, beam_args: Sequence[str]) -> str:
    return (
        f"Beam's runner lost its scheduler or its workers ({reason}). Check that those of beam.args {list(beam_args)} "
        "are running and have enough memory, then start the same command again."
    )


@contextlib.contextmanager
def writing_aside(path: Path) -> Iterator[Path]:
    """Writes a file under a temporary name and renames it to `path` when the block ends without an error.

    A runner retries an element if a worker is lost, and may process it on two machines at once. So each attempt
    writes a file with a unique name.

    Args:
        path: The final path. An existing file is replaced.

    Yields:
        The temporary path, in the same folder. It is removed if the block raises.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def keep(results: beam.PCollection, folder: Path) -> beam.PCollection:
    """Writes each result as a JSON file, to be read by `kept` after the pipeline has ended.

    Results that the driver or the next pipeline needs are passed through files, not through side inputs, because some
    runners compute side inputs again for each bundle.

    Args:
        results: A collection of pairs of a name and a JSON-serialisable result. The name must be the same at each
            attempt.
        folder: An existing folder for the files.

    Returns:
        A collection with one element, None, for each file.
    """
    return results | "Keep" >> beam.Map(_write_result, str(folder))


def _write_result(named: tuple[str, Any], folder: str) -> None:
    name, result = named
    with writing_aside(Path(folder) / f"{name}.result") as aside:
        aside.write_text(json.dumps(result))


def kept(folder: Path, expected: int) -> list[Any]:
    """Reads the results that `keep` wrote.

    Args:
        folder: The folder that was given to `keep`.
        expected: Number of results that must be there.

    Returns:
        The results, sorted by name.

    Raises:
        RuntimeError: If the number of results is not `expected`, because the runner did not run every element.
    """
    paths = sorted(Path(folder).glob("[!.]*.result"))
    if len(paths) != expected:
        raise RuntimeError(f"The Beam runner returned {len(paths)} results of {expected}.")
    return [json.loads(path.read_text()) for path in paths]


def read_shards(root: beam.Pipeline, shards: Sequence[ExamplesShard]) -> beam.PCollection:
    """Creates a collection with one element for each shard.

    Args:
        root: The pipeline.
        shards: The shards. The runner may process them at once and in any order.
    """
    return root | "Shards" >> beam.Create(shards, reshuffle=True)
