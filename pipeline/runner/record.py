"""A run's record, and what the metadata keep of a run; the report, the summary and MLflow use them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from pipeline.runner.step import ComponentStep, StepRecord


class Summary(TypedDict):
    """The JSON line at the end of standard output, and `summary.json`. A value that the run did not reach is None."""

    run_id: str
    exit: int
    blessed: bool | None
    pushed_model: str | None
    valid_perplexity: float | None
    test_perplexity: float | None
    train_tokens_per_second: float | None
    replicas: int | None
    seconds: float
    components: dict[str, dict[str, Any]]


class RunRecord(TypedDict):
    """A run, a rollback, or a worker's share of a search.

    Attributes:
        run_id: Identifies the run: its local start time and four random digits.
        root: Absolute path of `pipeline.root`.
        started: ISO 8601 time.
        seconds: How long it took.
        exit: The command's exit code: 0, 1 or 3.
        error: The message of the failure; None if there was none.
        components: In order, including those that were skipped.
        message: What a rollback did.
        configuration: Value by key; missing until the run has ended.
        defaults: Default by key; missing until the run has ended.
        code: SHA-256 of the components' code; missing until the run has ended.
        summary: The run's summary; missing until the run has ended.
    """

    run_id: str
    root: str
    started: str
    seconds: float
    exit: int
    error: str | None
    components: list[StepRecord]
    message: NotRequired[str]
    configuration: NotRequired[dict[str, Any]]
    defaults: NotRequired[dict[str, Any]]
    code: NotRequired[str]
    summary: NotRequired[Summary]


class TrackedRun(TypedDict):
    """Where a run is in MLflow; `complete` says whether MLflow has all of it."""

    uri: str
    run_id: str
    complete: bool


class StoredRun(TypedDict):
    """What the metadata hold of a run.

    Attributes:
        run_id: The run's id.
        started: ISO 8601 time.
        exit: The command's exit code, or 130 for a run that was interrupted; missing if the run was killed.
        run: The run's record; missing if it was stopped before its end.
        mlflow: Where the run is in MLflow; missing if it was not tracked.
    """

    run_id: str
    started: str
    exit: NotRequired[int]
    run: NotRequired[RunRecord]
    mlflow: NotRequired[TrackedRun]


def pushed_version(run: RunRecord) -> int | None:
    """Returns the version that a run pushed or a rollback returned to, or None.

    Args:
        run: The run's record.
    """
    figures = {step["name"]: step["figures"] for step in run["components"]}
    found = (figures.get(name, {}).get("version") for name in ("Rollback", "Pusher"))
    return next((version for version in found if version is not None), None)


def run_record(
    run_id: str,
    root: Path,
    started: str,
    seconds: float,
    exit_code: int,
    error: str | None,
    steps: Iterable[ComponentStep],
) -> RunRecord:
    """Makes the record of a run.

    Args:
        run_id: The run's id.
        root: Absolute path of `pipeline.root`.
        started: ISO 8601 time.
        seconds: How long it took; rounded to milliseconds.
        exit_code: The command's exit code.
        error: The message of the failure, or None.
        steps: All components in order.
    """
    return {
        "run_id": run_id,
        "root": str(root),
        "started": started,
        "seconds": round(seconds, 3),
        "exit": exit_code,
        "error": error,
        "components": [step.record() for step in steps],
    }
