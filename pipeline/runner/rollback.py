"""`--rollback`: republishes the previous version, recorded as a separate run in the lineage."""

import datetime
import sqlite3
import time
from typing import ClassVar

from components.artifacts.pushed_model import PUSHED, Pushed
from components.base import Component, ComponentError
from components.pusher import versions
from components.pusher.component import Pusher
from pipeline.errors import RunnerError
from pipeline.exit_codes import DONE, FAILED
from pipeline.metadata.store import Artifact
from pipeline.runner import artifact_files
from pipeline.runner.local_runner import LocalRunner
from pipeline.runner.record import RunRecord, run_record
from pipeline.runner.step import ComponentStep


class Rollback(Component):
    """The component that a rollback is recorded as; it reads the pushed model that it returns to."""

    OUTPUTS: ClassVar = {"pushed_model": "PushedModel"}
    Parameters: ClassVar = Pusher.Parameters


def roll_back(runner: LocalRunner, parameters: Pusher.Parameters) -> RunRecord:
    """Republishes the previous version and records where it came from.

    Args:
        runner: An entered runner; its run is the rollback.
        parameters: The Pusher's parameters.

    Returns:
        The run's record, with a `message`. If the version was pushed but could not be recorded, the record has the exit
        code 1 and an `error`.

    Raises:
        RunnerError: If there is no version to go back to, or the run's start cannot be recorded; nothing has changed
            then.
    """
    started, clock = datetime.datetime.now().astimezone().isoformat(timespec="seconds"), time.monotonic()
    try:
        versions.check_rollback(parameters.serving_dir)
        runner.start_run(started)
        pushed = versions.roll_back(parameters.serving_dir, parameters.keep_versions)
    except ComponentError as error:
        raise RunnerError(str(error)) from error
    step = ComponentStep(Rollback(parameters), "executed")
    step.figures = {"pushed_model": pushed["path"], "version": pushed["version"], "rollback_of": pushed["rollback_of"]}
    error = None
    try:
        source = _pushed_artifact(runner, pushed["rollback_of"], pushed["digest"])
        step.inputs = {"pushed_model": source} if source else {}
        _publish(runner, step, pushed)
    except (OSError, sqlite3.Error) as failure:
        error = runner.describe(failure)
    step.seconds = time.monotonic() - clock
    record = run_record(runner.run_id, runner.root, started, step.seconds, DONE, None, [step])
    record["message"] = (
        f"Version {pushed['replaced']} was replaced by version {pushed['version']}, which is version "
        f"{pushed['rollback_of']} again: {pushed['path']}"
    )
    if error:
        mark_unrecorded(record, error)
    return record


def mark_unrecorded(record: RunRecord, reason: str) -> None:
    """Marks a rollback as failed because its version was pushed but is not recorded.

    Args:
        record: What `roll_back` returned, which is changed.
        reason: Why it could not be recorded.
    """
    figures = record["components"][0]["figures"]
    record["exit"] = FAILED
    record["error"] = (
        f"Version {figures['version']} was pushed, as version {figures['rollback_of']} again, but the lineage does not "
        f"record it: {reason}"
    )


def _publish(runner: LocalRunner, step: ComponentStep, pushed: Pushed) -> None:
    """Records the rollback as an execution with its own `pushed_model`."""
    name, records = step.component.name, runner.metadata
    input_ids = {key: artifact.id for key, artifact in step.inputs.items()}
    step.execution_id = records.start_execution(name, runner.run_id, input_ids, figures=step.figures)
    uri = f"{name}/pushed_model/{step.execution_id}"
    (runner.root / uri).mkdir(parents=True)
    PUSHED.write(runner.root / uri, pushed)
    files = artifact_files.scan(runner.root / uri)
    outputs = {"pushed_model": ("PushedModel", uri, artifact_files.content_digest(files), files)}
    step.outputs = records.publish_execution(step.execution_id, outputs)


def _pushed_artifact(runner: LocalRunner, version: int, digest: str) -> Artifact | None:
    """Returns the artifact that records a version, or None if it was not pushed from this root."""
    for artifact in runner.metadata.artifacts("PushedModel"):
        pushed = PUSHED.read_if_whole(runner.root / artifact.uri)
        if pushed and (pushed["version"], pushed["digest"]) == (version, digest):
            return artifact
    return None
