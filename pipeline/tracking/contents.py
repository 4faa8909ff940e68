"""What is sent to MLflow about a run, read from the run's record and artifacts. This module does not need MLflow."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.artifacts.model_run import HISTORY
from components.artifacts.pushed_model import PUSHED
from components.artifacts.trials import TRIALS
from pipeline.reporting import sections
from pipeline.reporting.sections import RunArtifacts
from pipeline.root import run_folder
from pipeline.runner.record import RunRecord, pushed_version

MAX_TEXT = 6000  # characters of a parameter that MLflow accepts
STYLE = """<style>:root { --ink: #1c2024; --line: #dcdfe3;
--series-1: #1663c7; --series-2: #d4651a; --series-3: #7a4fbf; --series-4: #17803f; }</style>"""


def parameters(values: Mapping[str, Any]) -> dict[str, str]:
    """Converts configuration values to MLflow's parameters: text stays as it is, other values become JSON.

    Args:
        values: Value by key.
    """
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return {key: text[:MAX_TEXT] for key, text in texts.items()}


def epochs(history: Mapping[str, Any] | None) -> dict[int, dict[str, float]]:
    """Returns the figures of each epoch by its number.

    Args:
        history: Contents of the Trainer's `history.json`, or None.
    """
    records = (history or {}).get("epochs", [])
    return {record["epoch"]: _numbers({k: v for k, v in record.items() if k != "epoch"}) for record in records}


def figures(run: RunRecord) -> dict[str, float]:
    """Returns the Evaluator's figures, and how many seconds the run took.

    Args:
        run: The run's record.
    """
    evaluation = {f"evaluator.{name}": value for name, value in _figures(run, "Evaluator").items()}
    return _numbers(evaluation | {"run_seconds": run["seconds"]})


def tags(run: RunRecord) -> dict[str, str]:
    """Returns what identifies a run and its outcome, as texts.

    Args:
        run: The run's record.
    """
    corpus = next((step["outputs"] for step in run["components"] if step["name"] == "ExampleGen"), {}).get("examples")
    values = {
        "blessed": run["summary"]["blessed"],
        "exit": run["exit"],
        "corpus_digest": corpus and corpus.get("digest"),
        "code_digest": run.get("code"),
        "pushed_version": pushed_version(run),
        "error": run["error"],
    }
    return {name: _text(value) for name, value in values.items() if value is not None}


def pushed_digest(run: RunRecord) -> str | None:
    """Returns the digest of the model that a run pushed or a rollback returned to, or None.

    Args:
        run: The run's record.
    """
    artifacts = RunArtifacts(run)
    found = (artifacts.read(component, "pushed_model", PUSHED) for component in ("Rollback", "Pusher"))
    return next((pushed["digest"] for pushed in found if pushed), None)


def history(run: RunRecord) -> Any:
    """Returns the Trainer's `history.json`, or None if the run did not train.

    Args:
        run: The run's record.
    """
    return RunArtifacts(run).read("Trainer", "model_run", HISTORY)


def files(run: RunRecord) -> Iterator[Path]:
    """Returns the run's report and summary, if they exist.

    Args:
        run: The run's record.
    """
    folder = run_folder(Path(run["root"]), run["run_id"])
    return (path for name in ("report.html", "summary.json") if (path := folder / name).is_file())


def plots(run: RunRecord) -> dict[str, str]:
    """Returns the report's curves as SVG files: name -> text.

    Args:
        run: The run's record.
    """
    section = sections.training(RunArtifacts(run))
    charts = section["charts"] if section else []
    return {f"{re.sub('[^a-z]+', '_', title.lower())}.svg": _standalone(chart) for title, chart in charts}


def trials(run: RunRecord) -> list[dict[str, Any]]:
    """Returns the search's trials: `trial`, `status`, `values` by name, `valid_perplexity` by epoch.

    Args:
        run: The run's record.
    """
    search = RunArtifacts(run).read("Tuner", "best_hyperparameters", TRIALS)
    return search["trials"] if search else []


def _standalone(svg: str) -> str:
    """Makes a file of a page's chart by adding the page's colors."""
    end = svg.index(">")
    namespace = "" if "xmlns=" in svg[:end] else ' xmlns="http://www.w3.org/2000/svg"'
    return f"{svg[:end]}{namespace}>{STYLE}{svg[end + 1 :]}\n"


def _figures(run: RunRecord, name: str) -> Mapping[str, Any]:
    return next((step["figures"] for step in run["components"] if step["name"] == name), {})


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _text(value: Any) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else json.dumps(value)
