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
from pipeline.reporting import history
from pipeline.root import run_folder

END, INTERRUPTED = "end", "interrupted"  # what the run says; it says nothing where it was killed
LOG = "mlflow.log"  # in the run's folder: what MLflow prints
WATCH_SECONDS = 2.0
RETRY_SECONDS = 15.0  # after an error
END_SECONDS = 90.0  # for all that is left once the run has ended
REQUEST = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}


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
    _step_aside(run_folder(root, run_id) / LOG)
    following = _Following(uri, root, run_id, values, started)
    wait = 0.0
    while not connection.poll(wait):
        wait = WATCH_SECONDS if following.advance() else RETRY_SECONDS
    try:
        word = connection.recv()
    except EOFError:
        word = INTERRUPTED
    threading.Timer(END_SECONDS, os._exit, (1,)).start()  # where the run is not there to end it
    answer = following.end(word)
    with contextlib.suppress(OSError):
        connection.send(answer)
    logging.shutdown()
    os._exit(0)


class _Following:
    def __init__(self, uri: str, root: Path, run_id: str, values: Mapping[str, Any], started: float):
        self._arguments, self._root, self._started = (uri, run_id, values), root, started
        self._publisher = None

    def advance(self) -> bool:
        """Sends what is new; whether that went well."""
        try:
            self._open()
            self._publisher.log_epochs(self._newest_history())
            return True
        except Exception:  # MLflow has many, and none of them is the run's
            traceback.print_exc()
            return False

    def end(self, word: str) -> tuple[str | None, str | None]:
        missing = None
        try:
            self._open()
            if word == END:
                self._publisher.finish(history.load_run(self._root, self._arguments[1]))
            else:
                self._publisher.log_epochs(self._newest_history())
                self._publisher.end("KILLED")
        except Exception as error:
            traceback.print_exc()
            missing = in_words(error)
        return self._publisher and self._publisher.mlflow_id, missing

    def _open(self) -> None:
        if self._publisher is None:
            from pipeline.tracking.publisher import Publisher

            self._publisher = Publisher(*self._arguments)

    def _newest_history(self) -> Any:
        """What the Trainer of this run has written last."""
        found = self._root.glob(f".work/Trainer/*/{HISTORY.file}")
        found = [(path.stat().st_mtime, path) for path in found]
        modified, path = max(found, default=(0, None))
        return HISTORY.read(path.parent) if path and modified >= self._started else None


def in_words(error: Exception) -> str:
    """An error of MLflow, or of this project, on one line of reasonable length."""
    text = str(error) if isinstance(error, RunnerError) else unforeseen(error)
    return text if len(text) <= 400 else f"{text[:400]}…"


def _step_aside(log: Path) -> None:
    """Leaves the terminal, its signals and the processor to the run."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(5)
    for name, value in REQUEST.items():
        os.environ.setdefault(name, value)
    with contextlib.suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
