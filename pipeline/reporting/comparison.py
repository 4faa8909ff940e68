"""Compares two runs, for a page that shows them side by side."""

from pathlib import Path
from typing import Any

from components.artifacts.evaluation import EVALUATION, Evaluation
from components.artifacts.model_run import HISTORY, History
from pipeline.reporting import charts, sections
from pipeline.reporting.sections import RunArtifacts
from pipeline.root import run_folder
from pipeline.runner.record import RunRecord

FIGURES = (  # split, key, whether it is a share; lower is better, except for accuracies
    ("eval", "perplexity", False),
    ("test", "perplexity", False),
    ("eval", "bits_per_character", False),
    ("eval", "top_1_accuracy", True),
    ("eval", "top_10_accuracy", True),
    ("eval", "expected_calibration_error", True),
)


def compare(first: RunRecord, second: RunRecord) -> dict[str, Any]:
    """Collects what the comparison's template shows.

    Args:
        first: A run's record.
        second: Another run's record.

    Returns:
        The template's variables.

    Raises:
        ComponentError: If an artifact of a run is damaged.
    """
    artifacts = RunArtifacts(first), RunArtifacts(second)
    evaluations = [run.read("Evaluator", "evaluation", EVALUATION) for run in artifacts]
    histories = [run.read("Trainer", "model_run", HISTORY) for run in artifacts]
    phrases = [sections.predictions(run) for run in artifacts]
    return {
        "figures": _figures(evaluations, _read_the_same(first, second)),
        "read_the_same": _read_the_same(first, second),
        "slices": _slices(evaluations),
        "charts": _charts(histories),
        "predictions": _predictions(phrases),
        "configuration": _configuration(first, second),
        "seconds": _seconds(first, second),
    }


def _read_the_same(first: RunRecord, second: RunRecord) -> bool:
    """Returns whether both runs read the same tokens, so that their perplexities can be compared.

    Equal tokens are written as equal files only with the same `example_gen.chunk_bytes`; with another one, and where a
    run did not reach Transform, the settings are compared.
    """
    digests = [
        {
            key: artifact.get("digest")
            for step in run["components"]
            for key, artifact in step["outputs"].items()
            if key in ("transformed_examples", "vocabulary")
        }
        for run in (first, second)
    ]
    chunks = {run["configuration"].get("example_gen.chunk_bytes") for run in (first, second)}
    if all("transformed_examples" in found for found in digests) and len(chunks) == 1:
        return digests[0] == digests[1]
    keys = {
        key
        for run in (first, second)
        for key in run["configuration"]
        if key.startswith(("example_gen.", "vocabulary.")) and key != "example_gen.chunk_bytes"
    }
    return all(first["configuration"].get(key) == second["configuration"].get(key) for key in keys)


def _figures(evaluations: list[Evaluation | None], compares: bool) -> list[dict]:
    rows = []
    for split, key, is_share in FIGURES:
        values = [evaluation["splits"][split].get(key) if evaluation else None for evaluation in evaluations]
        if values == [None, None]:
            continue
        row = {"name": f"{sections.SPLIT_NAMES[split]} {key.replace('_', ' ')}", "values": values, "share": is_share}
        if None not in values and values[0] and (compares or key == "bits_per_character"):
            row["change"] = values[1] / values[0] - 1
            row["better"] = (row["change"] > 0) == key.endswith("accuracy")
        rows.append(row)
    return rows


def _slices(evaluations: list[Evaluation | None]) -> list[dict]:
    """Returns perplexities by slice of the eval split, for the slices that both runs have."""
    if None in evaluations:
        return []
    ours, theirs = (evaluation["splits"]["eval"]["slices"] for evaluation in evaluations)
    tables = []
    for dimension in (name for name in ours if name in theirs):
        shared = [bucket for bucket in ours[dimension] if bucket in theirs[dimension]]
        rows = [(bucket, [slices[dimension][bucket]["perplexity"] for slices in (ours, theirs)]) for bucket in shared]
        if rows:
            tables.append({"name": sections.SLICES.get(dimension, dimension), "rows": rows})
    return tables


def _charts(histories: list[History | None]) -> list[tuple[str, str]]:
    drawn = []
    for key, title, log in (
        ("valid_perplexity", "Validation perplexity", True),
        ("train_perplexity", "Training perplexity", True),
        ("learning_rate", "Learning rate", False),
        ("tokens_per_second", "Training tokens per second", False),
    ):
        series = {
            name: [epoch.get(key) for epoch in history["epochs"]]
            for name, history in zip("AB", histories, strict=True)
            if history
        }
        if series:
            drawn.append((title, charts.lines(series, f"{title} of both runs by epoch", log=log)))
    return drawn


def _predictions(phrases: list[list[dict] | None]) -> list[dict]:
    if None in phrases:
        return []
    theirs = {phrase["text"]: phrase["candidate"] for phrase in phrases[1]}
    return [
        {"text": phrase["text"], "A": phrase["candidate"], "B": theirs[phrase["text"]]}
        for phrase in phrases[0]
        if phrase["text"] in theirs
    ]


def _configuration(first: RunRecord, second: RunRecord) -> list[tuple[str, str, str]]:
    """Returns the keys whose values differ, with both values."""
    keys = [*first["configuration"], *(key for key in second["configuration"] if key not in first["configuration"])]
    values = [(key, first["configuration"].get(key), second["configuration"].get(key)) for key in keys]
    return [(key, sections.as_text(a), sections.as_text(b)) for key, a, b in values if a != b]


def _seconds(first: RunRecord, second: RunRecord) -> list[dict]:
    second_steps = {component["name"]: component for component in second["components"]}
    first_steps = {component["name"]: component for component in first["components"]}
    names = [*first_steps, *(name for name in second_steps if name not in first_steps)]
    return [{"name": name, "steps": [first_steps.get(name), second_steps.get(name)]} for name in names]


def default_path(root: Path, first: str, second: str) -> Path:
    """Returns where the comparison is written by default: beside the second run's report.

    Args:
        root: The pipeline's root.
        first: The first run's id.
        second: The second run's id.
    """
    return run_folder(root, second) / f"compared-with-{first}.html"
