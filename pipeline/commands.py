"""The work behind the command line: a run, a rollback, the history, compiling."""

import argparse
import contextlib
import difflib
import importlib.util
import logging
import sqlite3
import sys
from pathlib import Path
from typing import TextIO

import pydantic

from components.artifacts import blessing
from components.base import Component, ComponentError
from components.child_process import show_warnings_alone
from components.example_gen.corpora import check_dataset, without_source
from components.pusher.component import Pusher
from components.trainer.peers import Peers
from models import files
from pipeline import config, program
from pipeline.config import beam_options, checks, messages
from pipeline.errors import RunnerError
from pipeline.exit_codes import FAILED, REFUSED
from pipeline.pipeline import create_pipeline, serving_dir
from pipeline.reporting import history, summary
from pipeline.runner import artifact_files, training_worker, tuner_worker
from pipeline.runner.code_digest import code_digest
from pipeline.runner.local_runner import LocalRunner
from pipeline.runner.progress import RunProgress
from pipeline.runner.record import RunRecord, Summary
from pipeline.runner.rollback import mark_unrecorded, roll_back
from pipeline.tracking.tracker import Tracker


def local(parsed: argparse.Namespace, configuration: config.Configuration) -> Summary:
    """Runs the pipeline, or takes part in a training or a search of several processes.

    Args:
        parsed: The arguments of `pipeline.run`: `until`, `no_cache`, `verbose`, `quiet`.
        configuration: The resolved configuration.

    Returns:
        The run's summary, which is also printed as the last line of standard output.

    Raises:
        ConfigurationError: If a value of the configuration, `--until` or the workers' environment cannot be used.
        RunnerError: If the root cannot be used, or a worker is missing.
    """
    components = checked_pipeline(configuration)
    if problem := without_source(configuration.settings.example_gen):
        raise config.ConfigurationError(problem)
    _check_until(parsed.until, components)
    progress = _start_progress(parsed)
    if tuner_worker.is_worker(components):
        return summary.summarize(tuner_worker.join(components, root(configuration), progress))
    with training_worker.meeting(components, parsed.until, configuration.values) as peers:
        if peers and not peers.task.is_chief:
            return summary.summarize(training_worker.join(components, peers, root(configuration), progress))
        return _run(parsed, configuration, components, progress, peers)


def _run(
    parsed: argparse.Namespace,
    configuration: config.Configuration,
    components: list[Component],
    progress: RunProgress,
    peers: Peers | None,
) -> Summary:
    with (
        LocalRunner(root(configuration), not parsed.no_cache, progress, peers) as runner,
        _tracker(configuration, runner) as tracker,
    ):
        run = runner.run(components, parsed.until)
        if peers:
            peers.send_to_all(failed=run["error"], end=True)
        run["configuration"], run["defaults"] = configuration.values, configuration.defaults
        run["code"] = artifact_files.json_digest({step.name: code_digest(type(step)) for step in components})
        run["summary"] = summary.summarize(run)
        _record_run(run, runner, progress)
        progress.table(run)
        _report_end(run, progress)
        tracker.finish()
    return run["summary"]


def rollback(parsed: argparse.Namespace, configuration: config.Configuration) -> Summary:
    """Republishes the previous version.

    Args:
        parsed: The arguments of `pipeline.run`: `verbose`, `quiet`.
        configuration: The resolved configuration.

    Returns:
        A summary in the form of a run's. Its exit code is 1 if the version was pushed but could not be recorded.

    Raises:
        RunnerError: If the root cannot be used, or there is no previous version.
    """
    settings, progress = configuration.settings, _start_progress(parsed)
    with LocalRunner(root(configuration), progress=progress) as runner, _tracker(configuration, runner) as tracker:
        parameters = Pusher.Parameters(**dict(settings.pusher), serving_dir=serving_dir(settings))
        run = roll_back(runner, parameters)
        run["configuration"], run["defaults"] = configuration.values, configuration.defaults
        run["summary"] = summary.summarize(run)
        try:
            runner.metadata.finish_run(runner.run_id, {"exit": run["exit"], "run": run})
        except (OSError, sqlite3.Error) as error:  # the version is pushed already
            mark_unrecorded(run, runner.describe(error))
            run["summary"] = summary.summarize(run)
        _write_report(run, runner, progress)
        if run["error"]:
            progress.message(run["error"], "bold red")
        else:
            progress.message(run["message"])
        tracker.finish()
    return run["summary"]


def _tracker(configuration: config.Configuration, runner: LocalRunner) -> Tracker:
    return Tracker(configuration.settings.tracking.mlflow_uri, runner, configuration.values)


def _start_progress(parsed: argparse.Namespace) -> RunProgress:
    verbose = parsed.verbose
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s")
    for handler in [] if verbose else logging.getLogger().handlers:
        # A failure is shown as one line; the run's log has Beam's traceback.
        handler.addFilter(lambda record: not record.name.startswith("apache_beam"))
    for name in ("components", "models", "pipeline"):  # the project's own messages are always shown
        logging.getLogger(name).setLevel(logging.INFO)
    if parsed.quiet:
        show_warnings_alone()
    return RunProgress(verbose, parsed.quiet)


def show_history(parsed: argparse.Namespace, configuration: config.Configuration, output: TextIO) -> int:
    """Prints the runs below the root (`--list`), or one of them (`--show`).

    Args:
        parsed: The arguments of `pipeline.run`: `list`, or `show` with a run's id.
        configuration: The resolved configuration, which names the root.
        output: Where to print.

    Returns:
        The exit code.

    Raises:
        RunnerError: If the metadata cannot be read, or there is no such run.
    """
    folder = root(configuration)
    return history.list_runs(folder, output) if parsed.list else history.show_run(folder, parsed.show, output)


def compile_for_kubeflow(parsed: argparse.Namespace, configuration: config.Configuration) -> int:
    """Writes the pipeline that Kubeflow Pipelines runs to `--output`.

    Args:
        parsed: The arguments of `pipeline.run`: `output`, `no_cache`.
        configuration: The resolved configuration.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: If a value of the configuration cannot be used.
        RunnerError: If kfp is not installed or the file cannot be written.
    """
    if importlib.util.find_spec("kfp") is None:
        raise RunnerError(f"kfp is not installed. {program.install_extra('kubeflow')}")
    from pipeline.kubeflow import compiler

    components = checked_pipeline(configuration)
    text = compiler.compile_pipeline(
        components, configuration.settings.kubeflow, root(configuration), not parsed.no_cache
    )
    try:
        files.write_text(parsed.output, text)
    except OSError as error:
        raise RunnerError(f"--output {parsed.output} cannot be written: {error.strerror}.") from error
    print(f"Wrote {parsed.output}: {len(components)} components.", file=sys.stderr)
    return 0


def root(configuration: config.Configuration) -> Path:
    """Returns `pipeline.root` as a path, with `~` expanded.

    Args:
        configuration: The resolved configuration.
    """
    return Path(configuration.settings.pipeline.root).expanduser()


def checked_pipeline(configuration: config.Configuration) -> list[Component]:
    """Creates the pipeline's components after checking that what they need exists and that every parameter is valid.

    Args:
        configuration: The resolved configuration.

    Returns:
        The components in the order in which they run.

    Raises:
        ConfigurationError: If `beam.args`, the data set or a parameter cannot be used, or a file does not exist.
    """
    if problems := checks.missing(configuration.settings):
        raise config.ConfigurationError("\n".join(problems))
    data, beam_args = configuration.settings.example_gen, configuration.settings.beam.args
    if "beam.args" in configuration.changed:  # the check takes a second or two, and the default is valid
        problem = beam_options.problem(beam_args)
        if problem:
            raise config.ConfigurationError(
                f"beam.args (from {configuration.origins['beam.args']}): found {beam_args}: {problem}"
            )
    try:
        check_dataset(data.dataset, data.data_dir)
        return create_pipeline(configuration.settings)
    except ComponentError as error:
        raise config.ConfigurationError(str(error)) from error
    except pydantic.ValidationError as error:
        raise config.ConfigurationError("\n".join(messages.messages(error, configuration.origins))) from error


def _check_until(until: str | None, components: list[Component]) -> None:
    names = [component.name for component in components]
    if until is not None and until not in names:
        nearest = difflib.get_close_matches(until, names, n=1, cutoff=0.0)[0]
        raise config.ConfigurationError(
            f"--until: found {until!r}, expected one of {', '.join(names)}. The nearest is {nearest}."
        )


def _record_run(run: RunRecord, runner: LocalRunner, progress: RunProgress) -> None:
    """Records the run in the metadata, then in its folder; a failure is reported, not raised."""
    try:
        runner.metadata.finish_run(runner.run_id, {"exit": run["exit"], "run": run})
    except Exception as error:  # the run itself has ended as its summary says
        progress.message(f"The run's end could not be recorded: {runner.describe(error)}", "bold red")
    _write_report(run, runner, progress)


def _write_report(run: RunRecord, runner: LocalRunner, progress: RunProgress) -> None:
    try:
        progress.message(f"Report: {summary.write_run(run)}")
    except Exception as error:
        progress.message(f"The run's report could not be written: {runner.describe(error)}", "bold red")


def _report_end(run: RunRecord, progress: RunProgress) -> None:
    if run["exit"] == FAILED:
        progress.message(run["error"], "bold red")
    elif run["exit"] == REFUSED:
        judge = [step for step in run["components"] if step["status"] != "skipped"][-1]
        progress.message(f"{judge['name']} refused the model; nothing was pushed. Its reasons:", "bold red")
        for output in judge["outputs"].values():
            with contextlib.suppress(OSError):
                for reason in blessing.refusals(Path(run["root"]) / output["uri"]):
                    progress.message(reason, "red")
    elif run["summary"]["pushed_model"]:
        progress.message(f"Model: {run['summary']['pushed_model']}")
