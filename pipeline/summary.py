"""A run's summary, the JSON line that other people's scripts read, and the files that a run leaves about itself."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import artifact_files


def summarize(run: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of a run's record (`LocalRunner.run`): null where the run did not get that far."""
    steps = {step["name"]: step for step in run["components"] if step["status"] in ("executed", "cached")}
    figures = {name: step["figures"] for name, step in steps.items()}
    trainer, evaluator = figures.get("Trainer", {}), figures.get("Evaluator", {})
    verdicts = [of["blessed"] for of in figures.values() if isinstance(of.get("blessed"), bool)]
    pushed = next((of["pushed_model"] for of in figures.values() if of.get("pushed_model")), None)
    return {
        "run_id": run["run_id"],
        "exit": run["exit"],
        # Every judge that was reached must agree; before the Evaluator nobody has judged.
        "blessed": all(verdicts) if "blessed" in evaluator or False in verdicts else None,
        "pushed_model": os.path.abspath(pushed) if pushed and Path(pushed).is_dir() else None,  # not if pruned since
        "valid_perplexity": evaluator.get("valid_perplexity", trainer.get("valid_perplexity")),
        "test_perplexity": evaluator.get("test_perplexity"),
        "train_tokens_per_second": trainer.get("train_tokens_per_second"),
        "replicas": trainer.get("replicas"),
        "seconds": run["seconds"],
        "components": {
            step["name"]: {"status": step["status"], "seconds": step["seconds"]} for step in run["components"]
        },
    }


def write_run(run: Mapping[str, Any]) -> Path:
    """Writes `runs/<run_id>/summary.json` and `report.html` below the run's root; returns the report's path."""
    from pipeline.report import write_report  # here: only a run draws charts

    folder = Path(run["root"]) / "runs" / run["run_id"]
    artifact_files.write_json(folder / "summary.json", run["summary"])
    report = folder / "report.html"
    aside = report.with_name(".report.html")
    try:
        write_report(run, aside)
        aside.replace(report)
    finally:
        aside.unlink(missing_ok=True)
    return report
