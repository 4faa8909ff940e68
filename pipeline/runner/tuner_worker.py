"""Several processes for one search: who is Keras Tuner's chief or worker, and what a worker does.

The chief is a run as ever, but for its Tuner, which hands trials out instead of training them. A worker, which is the
same command with another `KERASTUNER_TUNER_ID`, trains trials for the chief of the same `pipeline.root` and ends with
the search; it runs no component and writes no artifact.
"""

import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.base import Component, ComponentError
from components.child_process import run_in_child
from pipeline import config
from pipeline.errors import RunnerError, describe
from pipeline.runner.local_runner import DONE, FAILED
from pipeline.runner.progress import Progress

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
CHIEF_WAIT = 1800.0  # seconds that a worker waits for a chief's search to begin


def is_worker(components: Sequence[Component]) -> bool:
    """Whether the environment says that this process trains trials for another one's search.

    Raises:
        ConfigurationError: If it says only a part of what Keras Tuner needs to know.
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


def join(components: Sequence[Component], root: Path, progress: Progress) -> dict[str, Any]:
    """Trains trials for the chief below `root` until there are no more.

    Returns:
        A run's record, as `LocalRunner.run` returns it, of the one step that the worker shared.

    Raises:
        RunnerError: If no search with these components' parameters begins below `root`.
    """
    tuner = next(component for component in components if component.name == "Tuner")
    name, clock, error, figures = os.environ[VARIABLES[0]], time.monotonic(), None, {}
    folder = _search_of(tuner, root, progress)
    progress.message(f"{name} joins the search in {folder}.")
    try:
        figures = run_in_child(_work, folder)
    except (ComponentError, RuntimeError) as failure:
        error = f"Tuner: {describe(failure, root)}"
    seconds = round(time.monotonic() - clock, 3)
    status = "failed" if error else "executed"
    progress.finished("Tuner", status, seconds, figures)
    if error:
        progress.message(error, "bold red")
    step = {"name": "Tuner", "status": status, "seconds": seconds, "figures": figures}
    exit_code = FAILED if error else DONE
    return {"run_id": name, "root": str(root), "seconds": seconds, "exit": exit_code, "error": error,
            "components": [step]}  # fmt: skip


def _work(folder: Path) -> dict[str, Any]:
    from components.tuner.search_process import work

    return work(folder)


def _search_of(tuner: Component, root: Path, progress: Progress) -> Path:
    """The workspace of the chief's search, once it has begun."""
    expected = tuner.parameters.model_dump(mode="json")
    deadline, reported = time.monotonic() + CHIEF_WAIT, False
    while time.monotonic() < deadline:
        for path in (root / ".work" / "Tuner").glob("*/invitation.json"):
            invitation = json.loads(path.read_text(encoding="utf-8"))
            if invitation.get("parameters") == expected and _lives(invitation):
                return path.parent
        if not reported:
            progress.message(f"Waiting for the search of a chief below {root} with this configuration.")
            reported = True
        time.sleep(1)
    raise RunnerError(
        f"{VARIABLES[0]}: no chief below {root} has begun a search with this configuration. Start one with the same "
        f"command and {VARIABLES[0]}=chief."
    )


def _lives(invitation: dict[str, Any]) -> bool:
    """Whether the chief that wrote it is still there, as far as this machine can tell."""
    if invitation.get("host") != socket.gethostname():
        return "host" in invitation
    try:
        os.kill(invitation["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True
