"""`--list` and `--show`: earlier runs on the terminal, from the metadata alone."""

import difflib
import sqlite3
from pathlib import Path
from typing import Any, TextIO

import rich.box
import rich.console
import rich.markup
import rich.table

from components.number_format import readable
from components.terminal import make_console
from pipeline.config.resolve import changed_values
from pipeline.errors import RunnerError, describe
from pipeline.exit_codes import DONE, FAILED, INTERRUPTED, REFUSED
from pipeline.metadata import lineage_records
from pipeline.metadata.store import Metadata
from pipeline.root import metadata_file
from pipeline.runner.progress import STYLES, key_figures
from pipeline.runner.record import RunRecord, StoredRun

OUTCOMES = {DONE: "done", FAILED: "failed", REFUSED: "refused", INTERRUPTED: "interrupted", None: "unfinished"}


def list_runs(root: Path, output: TextIO) -> int:
    """Prints a line for each run, newest first: start, outcome, perplexities, pushed model.

    Args:
        root: The pipeline's root.
        output: Where to print.

    Returns:
        The exit code, 0.

    Raises:
        RunnerError: If the metadata cannot be read.
    """
    runs = read_runs(root)
    if not runs:
        print(f"No run has been recorded in {root} yet.", file=output)
        return DONE
    table = _table("run", "started", "outcome", "seconds", "valid perplexity", "test perplexity", "pushed model")
    for run in runs:
        summary = run.get("run", {}).get("summary", {})
        figures = [_shown(summary.get(key)) for key in ("seconds", "valid_perplexity", "test_perplexity")]
        pushed = _below(summary.get("pushed_model"), root)
        table.add_row(run["run_id"], run["started"], OUTCOMES[run.get("exit")], *figures, pushed)
    make_console(output, wide_pipe=True).print(table)
    return DONE


def show_run(root: Path, run_id: str, output: TextIO) -> int:
    """Prints one run: its outcome, changed configuration, components, and what each artifact was made from.

    Args:
        root: The pipeline's root.
        run_id: The run's id, a unique prefix of one, or "latest".
        output: Where to print.

    Returns:
        The exit code, 0.

    Raises:
        RunnerError: If the metadata cannot be read, or there is no such run.
    """
    run = _find(read_runs(root), run_id, root)
    console = make_console(output, wide_pipe=True)
    record = run.get("run")
    console.print(f"Run {run['run_id']}, started {run['started']}: {OUTCOMES[run.get('exit')]}.", markup=False)
    if record is None:
        console.print("It was stopped before its end, so nothing more is recorded.")
        return DONE
    if record["error"]:
        console.print(record["error"], markup=False)
    _print_changes(record, console)
    _print_components(record, console)
    _print_artifacts(record, console)
    if tracked := run.get("mlflow"):
        remark = "" if tracked["complete"] else ", which does not have all of it"
        console.print(f"MLflow: run {tracked['run_id']} in {tracked['uri']}{remark}", markup=False)
    return DONE


def load_run(root: Path, run_id: str) -> RunRecord:
    """Loads the whole record of a finished run.

    Args:
        root: The pipeline's root.
        run_id: The run's id, a unique prefix of one, or "latest".

    Returns:
        The record, whose `root` is where the root is now.

    Raises:
        RunnerError: If there is no such run, or it was stopped before its end.
    """
    run = _find(read_runs(root), run_id, root)
    if "run" not in run:
        raise RunnerError(f"The run {run['run_id']} in {root} was stopped before its end; nothing is recorded of it.")
    return run["run"] | {"root": str(root.absolute())}  # the folder may have been moved since


def read_runs(root: Path) -> list[StoredRun]:
    """Reads every run below a root, newest first, as `Metadata.runs` returns them.

    Args:
        root: The pipeline's root; if nothing is recorded in it, the list is empty.

    Raises:
        RunnerError: If the metadata cannot be read.
    """
    path = metadata_file(root)
    try:
        if not path.is_file():
            if lineage_records.any_in(root):
                raise RunnerError(
                    f"{path} is missing. The next run (--local) rebuilds it from the records below {root}."
                )
            return []
        with Metadata(path, read_only=True) as metadata:
            return metadata.runs()
    except (OSError, sqlite3.Error, ValueError) as error:  # ValueError: text that is not JSON
        raise RunnerError(describe(error, root)) from error


def _find(runs: list[StoredRun], run_id: str, root: Path) -> StoredRun:
    matches = runs[:1] if run_id == "latest" else [run for run in runs if run["run_id"] == run_id]
    matches = matches or [run for run in runs if run_id and run["run_id"].startswith(run_id)]
    if len(matches) == 1:
        return matches[0]
    names = [run["run_id"] for run in runs]
    nearest = difflib.get_close_matches(run_id, names, n=1, cutoff=0.0)
    problem = f"{len(matches)} runs begin with it" if matches else "there is no such run"
    advice = f"The nearest is {nearest[0]}; --list shows all." if nearest else "No run has been recorded there yet."
    raise RunnerError(f"{run_id!r}: {problem} in {root}. {advice}")


def _print_changes(record: RunRecord, console: rich.console.Console) -> None:
    changed = changed_values(record["configuration"], record["defaults"])
    lines = [f"  {key} = {value!r}" for key, value in changed.items()]
    console.print("\n".join(["Configuration that differs from the default:", *(lines or ["  none"])]), markup=False)


def _print_components(record: RunRecord, console: rich.console.Console) -> None:
    table = _table("component", "status", "seconds", "key figures")
    for step in record["components"]:
        status = f"[{STYLES[step['status']]}]{step['status']}"
        figures = rich.markup.escape(key_figures(step["figures"]))
        table.add_row(step["name"], status, _shown(step["seconds"]), figures)
    console.print(table)


def _print_artifacts(record: RunRecord, console: rich.console.Console) -> None:
    table = _table("artifact", "type", "folder", "made from")
    names = {
        artifact["artifact_id"]: f"{step['name']}.{key}"
        for step in record["components"]
        for key, artifact in step["outputs"].items()
    }
    for step in record["components"]:
        sources = [
            names.get(artifact["artifact_id"], f"{artifact['producer']} ({artifact['uri']})")
            for artifact in step["inputs"].values()
        ]
        for key, artifact in step["outputs"].items():
            table.add_row(
                f"{step['name']}.{key}", artifact["type"], artifact["uri"], ", ".join(sources) or "its source"
            )
    console.print(table)


def _table(*columns: str) -> rich.table.Table:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        figures = column in ("seconds", "valid perplexity", "test perplexity")
        table.add_column(column, justify="right" if figures else "left", overflow="fold")
    return table


def _shown(value: Any) -> str:
    return "" if value is None else readable(value)


def _below(path: str | None, root: Path) -> str:
    """Returns a path relative to the root if it is below the root."""
    if path is None:
        return ""
    return str(Path(path).relative_to(root.absolute())) if Path(path).is_relative_to(root.absolute()) else path
