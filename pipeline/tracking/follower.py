"""The process that follows a run and sends it to MLflow, so that the run itself never waits for MLflow."""

import contextlib
import logging
import os
import signal
import threading
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from components.artifacts.model_run import HISTORY
from pipeline.errors import RunnerError, unforeseen
from pipeline.exit_codes import DONE, FAILED
from pipeline.reporting import history
from pipeline.root import run_folder, work_folder

END, INTERRUPTED = "end", "interrupted"  # the run's last message; a killed run sends none
LOG = "mlflow.log"  # file in the run's folder that has what MLflow prints
WATCH_SECONDS = 2.0
RETRY_SECONDS = 15.0  # pause after an error
END_SECONDS = 90.0  # time to send the rest after the run has ended
REQUEST = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}


def limit_requests() -> None:
    """Makes MLflow's client give up after seconds if there is no server, unless the environment sets it up.

    Call it before MLflow is imported. By default the client retries for over four minutes.
    """
    for name, value in REQUEST.items():
        os.environ.setdefault(name, value)


def follow(
    connection: Connection, uri: str, root: Path, run_id: str, values: Mapping[str, Any], started: float
) -> None:
    """Logs each epoch soon after its end, and the rest when the run reports that it has ended.

    Answers on the connection with a pair: MLflow's run id or None, and a message about what is missing or None.

    Args:
        connection: The connection to the run's process.
        uri: `tracking.mlflow_uri`.
        root: The pipeline's root.
        run_id: The run's id.
        values: The resolved configuration, value by key.
        started: When the run began, in seconds since 1970; an older history belongs to another run.
    """
    _detach(run_folder(root, run_id) / LOG)
    sender = _RunSender(uri, root, run_id, values, started)
    wait = 0.0
    while not connection.poll(wait):
        wait = WATCH_SECONDS if sender.advance() else RETRY_SECONDS
    try:
        message = connection.recv()
    except EOFError:
        message = INTERRUPTED
    threading.Timer(END_SECONDS, os._exit, (FAILED,)).start()  # ends this process even if the run is gone
    answer = sender.end(message)
    with contextlib.suppress(OSError):
        connection.send(answer)
    logging.shutdown()
    os._exit(DONE)


class _RunSender:
    """Sends one run, again and again what is new."""

    def __init__(self, uri: str, root: Path, run_id: str, values: Mapping[str, Any], started: float):
        self._arguments, self._root, self._started = (uri, run_id, values), root, started
        self._publisher = None

    def advance(self) -> bool:
        """Sends what is new; returns whether that succeeded."""
        try:
            self._open()
            self._publisher.log_epochs(self._newest_history())
            return True
        except Exception:  # MLflow raises many kinds, none of which must end the run
            traceback.print_exc()
            return False

    def end(self, message: str) -> tuple[str | None, str | None]:
        """Sends the rest.

        Args:
            message: `END` if the run is recorded, `INTERRUPTED` if it was interrupted.

        Returns:
            MLflow's run id and a message about what is missing, or None for either.
        """
        missing = None
        try:
            self._open()
            if message == END:
                self._publisher.finish(history.load_run(self._root, self._arguments[1]))
            else:
                self._publisher.log_epochs(self._newest_history())
                self._publisher.end("KILLED")
        except Exception as error:
            traceback.print_exc()
            missing = one_line(error)
        return self._publisher and self._publisher.mlflow_id, missing

    def _open(self) -> None:
        if self._publisher is None:
            from pipeline.tracking.publisher import Publisher

            self._publisher = Publisher(*self._arguments)

    def _newest_history(self) -> Any:
        """Returns the history that the Trainer of this run has written last, or None."""
        paths = work_folder(self._root, "Trainer").glob(f"*/{HISTORY.file}")
        modified, path = max(((path.stat().st_mtime, path) for path in paths), default=(0, None))
        return HISTORY.read(path.parent) if path and modified >= self._started else None


def one_line(error: Exception) -> str:
    """Returns the message of an error, MLflow's or this project's, on one line of at most 400 characters.

    Args:
        error: The exception.
    """
    text = str(error) if isinstance(error, RunnerError) else unforeseen(error)
    return text if len(text) <= 400 else f"{text[:400]}…"


def _detach(log: Path) -> None:
    """Ignores the terminal's signals, lowers the priority and sends output to the log, so as not to disturb the run."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(5)
    limit_requests()
    with contextlib.suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
