"""Several processes for one search: which one is Keras Tuner's chief, and what a worker does.

The chief is an ordinary run whose Tuner hands out trials instead of training them. A worker, which is the same command
with another `KERASTUNER_TUNER_ID`, trains trials for the chief of the same `pipeline.root` and ends with the search. It
runs no component and writes no artifact.
"""

import contextlib
import datetime
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.base import Component, ComponentError
from components.child_process import run_in_child
from components.tuner.invitation import INVITATION, Invitation
from pipeline import config
from pipeline.errors import RunnerError, describe
from pipeline.exit_codes import DONE, FAILED
from pipeline.root import work_folder
from pipeline.runner.progress import RunProgress
from pipeline.runner.record import RunRecord, run_record
from pipeline.runner.step import ComponentStep

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
CHIEF_WAIT = 1800.0  # seconds that a worker waits for the chief's search to begin


def is_worker(components: Sequence[Component]) -> bool:
    """Returns whether the environment makes this process a worker that trains trials for another process's search.

    Args:
        components: The pipeline's components; without a Tuner there is no worker.

    Raises:
        ConfigurationError: If only a part of Keras Tuner's environment variables is set.
    """
    if not any(component.name == "Tuner" for component in components) or not os.environ.get(VARIABLES[1]):
        return False
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise config.ConfigurationError(
            f"{VARIABLES[1]} is set, but {' and '.join(missing)} is not: a chief and its workers need all of "
            f"{', '.join(VARIABLES)}; the chief's id holds the word chief."
        )
    return "chief" not in os.environ[VARIABLES[0]]


def join(components: Sequence[Component], root: Path, progress: RunProgress) -> RunRecord:
    """Trains trials for the chief's search until there are no more.

    Args:
        components: The pipeline's components.
        root: The pipeline's root, which the chief shares.
        progress: Where the step is shown.

    Returns:
        A run's record with the one step that the worker shared.

    Raises:
        RunnerError: If no search with these components' parameters begins below `root` within half an hour.
    """
    tuner = next(component for component in components if component.name == "Tuner")
    name, clock, error, figures = os.environ[VARIABLES[0]], time.monotonic(), None, {}
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    folder = _search_of(tuner, root, progress)
    progress.message(f"{name} joins the search in {folder}.")
    try:
        figures = run_in_child(_work, folder)
    except (ComponentError, RuntimeError) as failure:
        error = f"Tuner: {describe(failure, root)}"
    step = ComponentStep(tuner, "failed" if error else "executed", time.monotonic() - clock, figures=figures)
    progress.finished("Tuner", step.status, step.seconds, figures)
    if error:
        progress.message(error, "bold red")
    return run_record(name, root, started, step.seconds, FAILED if error else DONE, error, [step])


def _work(folder: Path) -> dict[str, Any]:
    from components.tuner.search_process import work

    return work(folder)


def _search_of(tuner: Component, root: Path, progress: RunProgress) -> Path:
    """Waits for the chief's search to begin, and returns its workspace."""
    expected = tuner.parameters.model_dump(mode="json")
    deadline, reported = time.monotonic() + CHIEF_WAIT, False
    while time.monotonic() < deadline:
        for path in work_folder(root, "Tuner").glob(f"*/{INVITATION.file}"):
            with contextlib.suppress(ComponentError):  # the search has just ended, or is of another version
                invitation = INVITATION.read(path.parent)
                if invitation["parameters"] == expected and _is_running(invitation):
                    return path.parent
        if not reported:
            progress.message(f"Waiting for the search of a chief below {root} with this configuration.")
            reported = True
        time.sleep(1)
    raise RunnerError(
        f"{VARIABLES[0]}: no chief below {root} has begun a search with this configuration. Start one with the same "
        f"command and {VARIABLES[0]}=chief."
    )


def _is_running(invitation: Invitation) -> bool:
    """Returns whether the chief that wrote an invitation is running; a chief on another machine counts as running."""
    if invitation["host"] != socket.gethostname():
        return True
    try:
        os.kill(invitation["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, as another user's process
    return True
