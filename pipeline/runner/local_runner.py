"""Runs components one after the other in this process, and reuses what has not changed.

An output appears under `<root>/<Component>/<output>/<execution id>/` complete or not at all: it is written below the
staging folder, renamed, then recorded in the metadata file (`pipeline.root` names both).
"""

import contextlib
import datetime
import errno
import functools
import logging
import os
import secrets
import shutil
import sqlite3
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from components import child_process, run_log
from components.base import Component, ComponentError, Context
from components.trainer.peers import Peers
from models import files
from pipeline.errors import RunnerError, describe, is_of_full_disk
from pipeline.exit_codes import DONE, FAILED, INTERRUPTED, REFUSED
from pipeline.metadata import lineage_records, recovery, store
from pipeline.root import run_folder, staging_folder, temporary_folder, work_folder, work_root
from pipeline.runner import artifact_files, root_lock, stopping, workspaces
from pipeline.runner.code_digest import code_digest
from pipeline.runner.progress import RunProgress
from pipeline.runner.record import RunRecord, run_record
from pipeline.runner.step import ComponentStep, check_order, steps_of


class LocalRunner:
    """Runs a pipeline below one root. A context manager: it holds the root's lock from entering to leaving.

    Args:
        root: Folder of everything that is written; made if missing.
        use_cache: Whether an unchanged component's earlier outputs are reused.
        progress: Where steps are shown; by default on standard error.
        peers: The other workers, if several train together.

    Raises:
        RunnerError: On entering, if the root cannot be written or another run holds it.
    """

    def __init__(
        self, root: Path, use_cache: bool = True, progress: RunProgress | None = None, peers: Peers | None = None
    ):
        self.root = root.absolute()
        self.peers = peers
        self.use_cache = use_cache
        self.progress = progress or RunProgress()
        self.run_id = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
        self._exit_stack = contextlib.ExitStack()
        self._fresh: set[int] = set()  # artifacts of this run

    def __enter__(self) -> "LocalRunner":
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._exit_stack.enter_context(root_lock.held(self.root))
            report = functools.partial(self.progress.message, style="yellow")
            self.metadata = self._exit_stack.enter_context(recovery.opened(self.root, report))
            self._clear_leftovers()
            self._exit_stack.enter_context(artifact_files.temporary(temporary_folder(self.root)))
            self._exit_stack.callback(child_process.discard_prepared)
            self._exit_stack.callback(run_log.end)
            run_log.begin(run_folder(self.root, self.run_id) / "log.jsonl")
        except (OSError, sqlite3.Error) as error:
            self._exit_stack.close()
            raise RunnerError(f"pipeline.root: {describe(error, self.root)}") from error
        except BaseException:
            self._exit_stack.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._exit_stack.close()

    def run(self, components: Sequence[Component], until: str | None = None) -> RunRecord:
        """Runs the components in the given order.

        Args:
            components: Each after those whose outputs it reads.
            until: Name of the last component to run; None runs all.

        Returns:
            The run's record.

        Raises:
            ValueError: If an input is not the output of an earlier component.
            RunnerError: If the run's start cannot be recorded.
        """
        check_order(components)
        started, clock = datetime.datetime.now().astimezone(), time.monotonic()
        steps = steps_of(components, until)
        self.start_run(started.isoformat(timespec="seconds"))
        exit_code, error = DONE, None
        for step in steps:
            try:
                exit_code, error = self._run_step(step, {done.component.name: done for done in steps})
            except BaseException:
                with contextlib.suppress(OSError, sqlite3.Error):
                    self.metadata.finish_run(self.run_id, {"exit": INTERRUPTED})
                raise
            if exit_code != DONE or step.component.name == until:
                break
        took = time.monotonic() - clock
        return run_record(self.run_id, self.root, started.isoformat(timespec="seconds"), took, exit_code, error, steps)

    def start_run(self, started: str) -> None:
        """Records that this run has begun.

        Args:
            started: ISO 8601 time.

        Raises:
            RunnerError: If it cannot be recorded; nothing else has happened then.
        """
        try:
            self.metadata.start_run(self.run_id, {"started": started})
        except (OSError, sqlite3.Error) as error:
            raise RunnerError(f"pipeline.root: {describe(error, self.root)}") from error

    def _run_step(self, step: ComponentStep, steps: Mapping[str, ComponentStep]) -> tuple[int, str | None]:
        """Reuses or runs one component; returns the exit code so far and the error's message."""
        clock = time.monotonic()
        run_log.set_component(step.component.name)
        name, channels = step.component.name, step.component.inputs
        error = None
        try:
            step.inputs = {key: steps[channel.producer].outputs[channel.key] for key, channel in channels.items()}
            self._reuse_or_execute(step)
        except Exception as failure:
            stopping.check()
            step.status, error = "failed", f"{name}: {self.describe(failure)}"
        step.seconds = time.monotonic() - clock
        self.progress.finished(name, step.status, step.seconds, step.figures)
        if error:
            run_log.write(error, logging.ERROR)
            return FAILED, error
        gate = step.component.GATE
        return (REFUSED if gate and step.figures.get(gate) is False else DONE), None

    def _reuse_or_execute(self, step: ComponentStep) -> None:
        component = step.component
        paths = {key: self.root / artifact.uri for key, artifact in step.inputs.items()}
        parameters = component.parameters.model_dump(mode="json")
        depends_on = {
            "component": component.name,
            "code": code_digest(type(component)),
            "parameters": parameters,
            "inputs": {key: artifact.digest for key, artifact in step.inputs.items()},
            "external_state": component.external_state(paths),
        }
        cache_key = artifact_files.json_digest(depends_on)
        lasting = {name: value for name, value in parameters.items() if name not in component.BUDGET}
        work_key = artifact_files.json_digest(depends_on | {"parameters": lasting})
        input_ids = {key: artifact.id for key, artifact in step.inputs.items()}
        cached_id = self.metadata.find_cached(component.name, cache_key) if self.use_cache else None
        if cached_id is not None and self._is_intact(component, cached_id):
            step.outputs = self.metadata.outputs(cached_id)
            step.figures = self.metadata.properties("Execution", cached_id)["figures"]
            step.execution_id = self.metadata.publish_cached(component.name, self.run_id, cached_id, input_ids)
            step.status = "cached"
            if component.RESUMABLE:  # a kill right after the record leaves the workspace behind
                workspaces.finish_workspace(component, work_folder(self.root, component.name) / work_key)
            return
        self.progress.started(component.name)
        self._check_inputs(step)
        if step.leads_to_child:  # later components will rarely be cached either
            child_process.prepare()
        record = {"cache_key": cache_key, "parameters": parameters}
        step.execution_id = self.metadata.start_execution(component.name, self.run_id, input_ids, **record)
        try:
            self._execute(step, paths, work_key)
            step.status = "executed"
        except BaseException as failure:
            if step.outputs:  # they are published: only the cleaning up afterwards failed
                raise
            state = store.FAILED if isinstance(failure, Exception) else store.CANCELED
            self._discard(step.execution_id, component.name)
            with contextlib.suppress(OSError, sqlite3.Error):  # on a full disk the next run marks it
                self.metadata.end_execution(step.execution_id, state, str(failure))
            raise

    def _execute(self, step: ComponentStep, paths: Mapping[str, Path], work_key: str) -> None:
        component, clock = step.component, time.monotonic()
        with contextlib.ExitStack() as stack:
            staging = stack.enter_context(artifact_files.staged(staging_folder(self.root), component.name))
            staged = {key: staging / key for key in component.OUTPUTS}
            workspace = staging / ".workspace"
            if component.RESUMABLE:
                workspace = workspaces.open_workspace(self.root, component.name, work_key, self.use_cache)
            for folder in (workspace, *staged.values()):
                folder.mkdir(parents=True, exist_ok=True)
            context = Context(
                run_id=self.run_id,
                workspace=workspace,
                progress=self.progress.interactive,
                quiet=self.progress.quiet,
                peers=self.peers,
            )
            try:
                figures = artifact_files.as_json(component.execute(paths, staged, context) or {})
            except Exception as error:
                if is_of_full_disk(error, self.root):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.root)) from error
                raise

            outputs = {}
            for key, folder in staged.items():
                scanned = artifact_files.scan(folder)
                uri = f"{component.name}/{key}/{step.execution_id}"
                (self.root / uri).parent.mkdir(parents=True, exist_ok=True)
                files.move_into_place(folder, self.root / uri)
                outputs[key] = (component.OUTPUTS[key], uri, artifact_files.content_digest(scanned), scanned)
            seconds = time.monotonic() - clock
            step.outputs = self.metadata.publish_execution(step.execution_id, outputs, figures=figures, seconds=seconds)
            step.figures = figures
            self._fresh |= {artifact.id for artifact in step.outputs.values()}
        if component.RESUMABLE:
            workspaces.finish_workspace(component, workspace)

    def _check_inputs(self, step: ComponentStep) -> None:
        """Reads the inputs that earlier runs made, because reuse compares only sizes and times.

        This finds bytes that changed on the disk. It takes a second or two for each GB, far less than the component.
        """
        for artifact in step.inputs.values():
            if artifact.id in self._fresh:
                continue
            damaged = artifact_files.damaged(self.root / artifact.uri, artifact.files)
            if damaged:
                producer = self.metadata.lineage(artifact.id)[0]["execution_id"]
                # A failed execution is not reused, so that the producer runs again.
                self.metadata.end_execution(producer, store.FAILED, f"{damaged} is damaged.")
                lineage_records.remove_execution(self.root, artifact.producer, producer)
                raise ComponentError(
                    f"{damaged} is damaged: its contents are not those that {artifact.producer} wrote. Start the same "
                    "command again to rebuild it, or use --no-cache to rebuild everything."
                )

    def _is_intact(self, component: Component, execution_id: int) -> bool:
        """Returns whether a cached execution's outputs and its effects elsewhere are intact."""
        artifacts = self.metadata.outputs(execution_id)
        paths = {key: self.root / artifact.uri for key, artifact in artifacts.items()}
        intact = paths.keys() == component.OUTPUTS.keys() and all(
            artifact_files.intact(paths[key], artifact.files) for key, artifact in artifacts.items()
        )
        return intact and component.still_valid(paths)

    def _discard(self, execution_id: int, name: str) -> None:
        """Removes outputs that were renamed into place but never recorded."""
        for folder in self.root.glob(f"{name}/*/{execution_id}"):
            shutil.rmtree(folder, ignore_errors=True)
        lineage_records.remove_execution(self.root, name, execution_id)

    def _clear_leftovers(self) -> None:
        """Removes what killed runs left: staged folders, unrecorded outputs, executions that never ended."""
        shutil.rmtree(staging_folder(self.root), ignore_errors=True)
        artifact_files.finish_removing(work_root(self.root))
        for execution_id, component in self.metadata.running().items():
            self._discard(execution_id, component)
            self.metadata.end_execution(execution_id, store.FAILED, "The run was killed.")
        # Folders remain when a metadata file is deleted: new executions must not reuse their names.
        folders = self.root.glob("[A-Z]*/*/*")
        self.metadata.reserve_ids(max((int(folder.name) for folder in folders if folder.name.isdecimal()), default=0))

    def describe(self, failure: Exception) -> str:
        """Describes a failure in one message. Its traceback goes to the run's `error.log`, and is shown with --verbose.

        Args:
            failure: The exception.
        """
        text = "".join(traceback.format_exception(failure))
        self.progress.traceback(text)
        log = run_folder(self.root, self.run_id) / "error.log"
        with contextlib.suppress(OSError):  # a full disk must not hide the failure itself
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files may be any bytes
        return describe(failure, self.root, log)
