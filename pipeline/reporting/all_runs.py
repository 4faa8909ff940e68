"""A page of all runs below a root: their dates, data, settings and perplexities, with a link to each report."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.config.resolve import changed_values
from pipeline.errors import RunnerError
from pipeline.exit_codes import DONE, FAILED, REFUSED
from pipeline.reporting import history, page, sections
from pipeline.root import run_folder, runs_folder
from pipeline.runner.record import StoredRun

# Where a run writes and what it reads: the page has other columns for that.
NOT_SETTINGS = frozenset("pipeline.root pipeline.serving_dir example_gen.dataset example_gen.data_dir".split())
GOOD, BAD, OPEN = "good", "bad", "open"


def write(root: Path, path: Path) -> None:
    """Writes the page.

    Args:
        root: `pipeline.root` of the runs.
        path: The HTML file to write; its folder is made.

    Raises:
        RunnerError: If there is no such folder, or the metadata cannot be read.
        OSError: If the file cannot be written.
    """
    if not root.is_dir():
        raise RunnerError(f"--root: found no folder at {root}, expected the pipeline.root of some runs.")
    template = page.environment().get_template("all_runs.html.j2")
    rows = [_row(run, root, path.parent) for run in history.read_runs(root)]
    page.write(path, template.render(rows=rows, root=root))


def default_path(root: Path) -> Path:
    """Returns where the page of all runs is written by default: beside the runs' folders.

    Args:
        root: `pipeline.root` of the runs.
    """
    return runs_folder(root) / "index.html"


def _row(stored: StoredRun, root: Path, folder: Path) -> dict[str, Any]:
    run = stored.get("run") or {}
    summary, values = run.get("summary", {}), run.get("configuration", {})
    report = run_folder(root, stored["run_id"]) / "report.html"
    changed = changed_values(values, run.get("defaults", {}))
    ended = run.get("exit") is not None
    return {
        "run_id": stored["run_id"],
        "started": stored["started"][:16].replace("T", " "),
        "link": _address(report, folder) if report.is_file() else None,
        "corpus": values.get("example_gen.dataset"),
        "folder": values.get("example_gen.data_dir"),
        "settings": [(key, sections.as_text(value)) for key, value in changed.items() if key not in NOT_SETTINGS],
        "valid": summary.get("valid_perplexity"),
        "test": summary.get("test_perplexity"),
        "seconds": run.get("seconds"),
        "outcome": page.outcome(run) if ended else "Stopped before its end",
        "style": {DONE: GOOD, FAILED: BAD, REFUSED: BAD}.get(run.get("exit"), OPEN),
    }


def _address(file: Path, folder: Path) -> str:
    """Returns a file's address in a page that lies in the folder."""
    return quote(os.fsencode(Path(os.path.relpath(file, folder)).as_posix()))
