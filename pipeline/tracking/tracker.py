"""The run's side of MLflow: starts the process that follows the run, and limits the time it may take at the end."""

import multiprocessing
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from pipeline.config import tracking_options
from pipeline.errors import describe
from pipeline.root import run_folder
from pipeline.runner.local_runner import LocalRunner
from pipeline.tracking import follower

START_SECONDS = 20.0  # added to the follower's own time: it may have to load MLflow first
CLOCK_SECONDS = 1.0  # how much earlier than the clock the times of files may be
STOP_SECONDS = 3.0  # time that the follower has after Ctrl-C


class Tracker:
    """Sends a run to MLflow while it runs; a context manager around the run.

    Args:
        uri: `tracking.mlflow_uri`; with None nothing is sent.
        runner: An entered runner.
        values: The resolved configuration, value by key.
    """

    def __init__(self, uri: str | None, runner: LocalRunner, values: Mapping[str, Any]):
        self._uri, self._runner, self._values = uri, runner, values
        self._process = None

    def __enter__(self) -> "Tracker":
        if self._uri is None:
            return self
        context = multiprocessing.get_context("spawn")
        self._connection, followers_end = context.Pipe()
        started = time.time() - CLOCK_SECONDS
        arguments = followers_end, self._uri, self._runner.root, self._runner.run_id, self._values, started
        self._process = context.Process(target=follower.follow, args=arguments, daemon=True)
        try:
            self._process.start()
        except OSError as error:
            self._process = None
            self._warn(f"no process could be started ({error.strerror})")
        followers_end.close()
        return self

    def __exit__(self, *_) -> None:
        """Ends the follower of a run that was interrupted."""
        if self._process is not None:
            self._stop_follower(follower.INTERRUPTED, STOP_SECONDS)

    def finish(self) -> None:
        """Has the rest of a recorded run sent, and shows where it is, or what is missing and how to send it."""
        if self._process is None:
            return
        mlflow_id, missing = self._stop_follower(follower.END, START_SECONDS + follower.END_SECONDS)
        if mlflow_id:
            try:
                record(self._runner.metadata, self._runner.run_id, self._uri, mlflow_id, missing)
            except (OSError, sqlite3.Error) as error:  # the run itself has succeeded
                missing = missing or f"the lineage does not name it: {describe(error, self._runner.root)}"
        if missing:
            self._warn(missing)
        else:
            self._runner.progress.message(f"MLflow: run {mlflow_id} in {self._uri}")

    def _stop_follower(self, message: str, seconds: float) -> tuple[str | None, str | None]:
        process, self._process = self._process, None
        answer = None, f"it took longer than {seconds:.0f} seconds"
        try:
            self._connection.send(message)
            if self._connection.poll(seconds):
                answer = self._connection.recv()
        except (EOFError, OSError):
            answer = None, "the process that sends to it died"
        process.kill()
        process.join()
        self._connection.close()
        return answer

    def _warn(self, reason: str) -> None:
        runner = self._runner
        log = run_folder(runner.root, runner.run_id) / follower.LOG
        command = tracking_options.resend_command(runner.run_id, runner.root, self._uri)
        runner.progress.message(
            f"MLflow at {self._uri} does not have all of this run: {reason}. Its log is {log}. Send what is missing "
            f"with {command}",
            "yellow",
        )


def record(metadata, run_id: str, uri: str, mlflow_id: str, missing: str | None) -> None:
    """Records in the lineage where a run is in MLflow.

    Args:
        metadata: The root's `Metadata`.
        run_id: The run's id.
        uri: `tracking.mlflow_uri`.
        mlflow_id: The run's id in MLflow.
        missing: A message about what could not be sent, or None.
    """
    metadata.finish_run(run_id, {"mlflow": {"uri": uri, "run_id": mlflow_id, "complete": missing is None}})
