"""A run's summary, the JSON line for scripts, and the files that describe a run."""

import os
from pathlib import Path
from typing import Any

from pipeline.root import run_folder
from pipeline.runner import artifact_files
from pipeline.runner.record import RunRecord, Summary


def summarize(run: RunRecord) -> Summary:
    """Makes the summary of a run.

    Args:
        run: The run's record.
    """
    all_figures = [step["figures"] for step in run["components"] if step["status"] in ("executed", "cached")]

    def last(name: str) -> Any:
        """Returns the figure of the last component that has it, such as the Evaluator's perplexity.

        Args:
            name: The figure's key.
        """
        return next((figures[name] for figures in reversed(all_figures) if figures.get(name) is not None), None)

    verdicts = [figures["blessed"] for figures in all_figures if isinstance(figures.get("blessed"), bool)]
    pushed = last("pushed_model")
    return {
        "run_id": run["run_id"],
        "exit": run["exit"],
        "blessed": all(verdicts) if verdicts else None,  # every gate that was reached must agree
        # A version that was removed since then is not named.
        "pushed_model": os.path.abspath(pushed) if pushed and Path(pushed).is_dir() else None,
        "valid_perplexity": last("valid_perplexity"),
        "test_perplexity": last("test_perplexity"),
        "train_tokens_per_second": last("train_tokens_per_second"),
        "replicas": last("replicas"),
        "seconds": run["seconds"],
        "components": {
            step["name"]: {"status": step["status"], "seconds": step["seconds"]} for step in run["components"]
        },
    }


def write_run(run: RunRecord) -> Path:
    """Writes `summary.json` and `report.html` into the run's folder.

    Args:
        run: The run's record, with its `summary`.

    Returns:
        The report's path.

    Raises:
        OSError: If a file cannot be written.
    """
    from pipeline.reporting.page import write_report  # imported late: only a run draws charts

    folder = run_folder(Path(run["root"]), run["run_id"])
    artifact_files.write_json(folder / "summary.json", run["summary"])
    report = folder / "report.html"
    write_report(run, report)
    return report
