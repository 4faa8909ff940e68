"""`--publish RUN`: sends what MLflow does not have of a run that has ended."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import tracking_options
from pipeline.errors import RunnerError, describe
from pipeline.metadata import recovery
from pipeline.metadata.store import Metadata
from pipeline.reporting import history
from pipeline.root import metadata_file
from pipeline.runner import root_lock
from pipeline.tracking import follower, tracker


def publish(root: Path, run_id: str, uri: str | None) -> str:
    """Sends a finished run to MLflow, in this process. What has been sent before is not sent twice.

    Args:
        root: The pipeline's root.
        run_id: The run's id, a unique prefix of one, or "latest".
        uri: The address to send it to; None for the one in the run's own configuration.

    Returns:
        A sentence that names the run's id and address in MLflow.

    Raises:
        RunnerError: If there is no such run, or MLflow does not accept it.
    """
    run = history.load_run(root, run_id)
    uri = uri or run["configuration"].get("tracking.mlflow_uri")
    if uri is None:
        raise RunnerError(f"The run {run['run_id']} was not tracked. Name an address with --mlflow-uri URI.")
    problems = tracking_options.problems(uri) or tracking_options.missing(uri)
    if problems:
        raise RunnerError("\n".join(problems).replace("tracking.mlflow_uri", "--mlflow-uri"))
    follower.limit_requests()
    try:
        from pipeline.tracking.publisher import (
            Publisher,  # imported late: MLflow takes seconds to load, and is an extra
        )

        publisher = Publisher(uri, run["run_id"], run["configuration"])
        publisher.finish(run)
    except Exception as error:  # MLflow raises many kinds
        reason = follower.one_line(error)
        raise RunnerError(f"MLflow at {uri} does not have all of {run['run_id']}: {reason}") from error
    try:
        with _opened(root) as metadata:
            tracker.record(metadata, run["run_id"], uri, publisher.mlflow_id, None)
    except (OSError, sqlite3.Error) as error:
        raise RunnerError(f"MLflow has run {publisher.mlflow_id}, but {describe(error, root)}") from error
    return f"MLflow: run {publisher.mlflow_id} in {uri}"


@contextlib.contextmanager
def _opened(root: Path) -> Iterator[Metadata]:
    """Opens the metadata for writing. Their checksum is renewed here or, if a run is in progress, when that ends."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(root_lock.held(root))
            metadata = stack.enter_context(recovery.opened(root, logging.getLogger(__name__).warning))
        except RunnerError:
            metadata = stack.enter_context(Metadata(metadata_file(root)))
        yield metadata
