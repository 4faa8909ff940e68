"""A run's record: what the metadata keep of it, and what the report, the summary and MLflow are made from."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from pipeline.runner.step import Step, StepRecord


class Summary(TypedDict):
    """The JSON line at the end of standard output, and `summary.json`; None where the run did not get that far."""

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
        started: ISO 8601.
        exit: The command's exit code: 0, 1 or 3.
        error: Why it failed, in words.
        components: In order, those that were skipped included.
        message: Of a rollback: what it did, in words.
        configuration, defaults: Each key's value and default; of a run that has ended.
        code: SHA-256 of the components' code, likewise.
        summary: Likewise.
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


def run_record(
    run_id: str, root: Path, started: str, seconds: float, exit_code: int, error: str | None, steps: Iterable[Step]
) -> RunRecord:
    """The record of a run; `seconds` is rounded."""
    return {
        "run_id": run_id,
        "root": str(root),
        "started": started,
        "seconds": round(seconds, 3),
        "exit": exit_code,
        "error": error,
        "components": [step.record() for step in steps],
    }
