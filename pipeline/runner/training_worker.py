"""Several processes for one training: how they meet, and what a worker that is not the chief does.

The chief is an ordinary run whose Trainer works together with others. A worker, which is the same command with another
`TF_CONFIG`, meets the chief before anything runs, takes part in the Trainer, and ends with it. It runs no other
component and writes nothing.
"""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.base import Component, ComponentError, Context
from components.trainer import executor, peers, task
from models.settings import TrainingSettings
from pipeline import config
from pipeline.errors import RunnerError, describe
from pipeline.exit_codes import DONE, FAILED
from pipeline.runner.artifact_files import json_digest
from pipeline.runner.code_digest import code_digest
from pipeline.runner.progress import RunProgress
from pipeline.runner.record import RunRecord, run_record
from pipeline.runner.step import ComponentStep

LIBRARIES = ("tensorflow", "keras", "numpy")


@contextlib.contextmanager
def meeting(
    components: Sequence[Component], until: str | None, values: Mapping[str, Any]
) -> Iterator[peers.Peers | None]:
    """Waits until all workers of a training have connected, and checks that they are alike.

    Args:
        components: The pipeline's components.
        until: Name of the last component that will run, or None for all.
        values: The configuration: value by key.

    Yields:
        The other workers; None if the run trains in one process or not at all.

    Raises:
        ConfigurationError: If `TF_CONFIG` or the number of workers cannot be used.
        RunnerError: If a worker is missing or differs.
    """
    names = [component.name for component in components]
    last = len(names) if until is None else names.index(until) + 1
    trainer = next((component for component in components[:last] if component.name == "Trainer"), None)
    if trainer is None or trainer.parameters.strategy == "mirrored":
        yield None
        return
    try:
        own = task.from_environment(os.environ)
    except ValueError as error:
        raise config.ConfigurationError(str(error)) from error
    _check_workers(trainer.parameters, len(own.addresses))
    try:
        others = peers.meet(own, _settings(trainer, values), trainer.parameters.meeting_seconds)
    except peers.MeetingFailed as error:
        raise RunnerError(str(error)) from error
    with others:
        yield others


def _check_workers(parameters: TrainingSettings, workers: int) -> None:
    for name in ("batch_size", "replicas"):
        value = getattr(parameters, name)
        if value is not None and value % workers:
            raise config.ConfigurationError(
                f"trainer.{name}: found {value}, expected a multiple of the {workers} workers in TF_CONFIG."
            )


def _settings(trainer: Component, values: Mapping[str, Any]) -> dict[str, str]:
    """Returns what must be the same on all workers: name in messages -> value or digest."""
    digests = {key: json_digest(value) for key, value in values.items()}
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    code = {"the project's code": code_digest(type(trainer)), "Python's version": platform.python_version()}
    return digests | {f"the version of {name}": version for name, version in versions.items()} | code


def join(components: Sequence[Component], chief: peers.Peers, root: Path, progress: RunProgress) -> RunRecord:
    """Takes part in the chief's Trainer and waits for the chief's run to end.

    Args:
        components: The pipeline's components.
        chief: The connection to the chief.
        root: The pipeline's root, on a file system that all workers share.
        progress: Where the step is shown.

    Returns:
        A run's record, as `LocalRunner.run` returns it, with the one step that the worker shared. Its status is
        "cached" if the chief trained nothing.
    """
    trainer = next(component for component in components if component.name == "Trainer")
    name, clock, error = f"worker-{chief.task.index}", time.monotonic(), None
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    status, figures = "cached", {}
    progress.message(f"{chief.task.name(chief.task.index)} waits for the chief's Trainer.")
    try:
        while "end" not in (message := chief.hear(None)[0][1]):
            if "train" in message:
                progress.started("Trainer")
                clock = time.monotonic()
                figures, status = _train(trainer, chief, name, message, progress.interactive), "executed"
    except (ComponentError, RuntimeError) as failure:
        error, status = f"Trainer: {describe(failure, root)}", "failed"
        if not isinstance(failure, peers.PeerLost):
            chief.send_to_all(failed=error)
    step = ComponentStep(trainer, status, time.monotonic() - clock, figures=figures)
    progress.finished("Trainer", status, step.seconds, figures)
    if error:
        progress.message(error, "bold red")
    return run_record(name, root, started, step.seconds, FAILED if error else DONE, error, [step])


def _train(
    trainer: Component, chief: peers.Peers, name: str, message: Mapping[str, Any], interactive: bool
) -> dict[str, Any]:
    inputs = {key: Path(path) for key, path in message["train"].items()}
    for key, path in inputs.items():
        try:
            digest = peers.digest(path)
        except OSError as error:
            raise ComponentError(
                f"{path} cannot be read ({error.strerror}): pipeline.root must be on a file system that all workers "
                "share, at the same place."
            ) from error
        if digest != message["digests"][key]:
            raise ComponentError(
                f"{path} ({key}) differs from the chief's file: pipeline.root must be on a file system that all "
                "workers share."
            )
    trainer.external_state(inputs)  # raises where files outside the inputs are missing
    chief.send_to_all(ready=True)
    return executor.train_with_peers(inputs, {}, trainer.parameters, Context(name, Path(), interactive, peers=chief))
