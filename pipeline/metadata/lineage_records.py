"""The lineage once more, as small JSON files beside the artifacts: what lost or damaged metadata are rebuilt from.

`<root>/<Component>/.system/<execution id>.json` is one complete or cached execution with its artifacts,
`<root>/runs/<run id>/run.json` one run.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from models import files
from pipeline.root import run_folder

SYSTEM, RUN = ".system", "run.json"


def write_execution(root: Path, record: Mapping[str, Any]) -> None:
    """Keeps one execution: `execution_id`, `component`, `run_id`, `state`, `inputs`, `outputs`, `properties`."""
    _write(root / record["component"] / SYSTEM / f"{record['execution_id']}.json", record)


def has_execution(root: Path, component: str, execution_id: int) -> bool:
    """Whether an execution has its record."""
    return (root / component / SYSTEM / f"{execution_id}.json").is_file()


def remove_execution(root: Path, component: str, execution_id: int) -> None:
    """Removes the record of an execution that was not completed after all; `component` may be a glob pattern."""
    for path in root.glob(f"{component}/{SYSTEM}/{execution_id}.json"):
        path.unlink(missing_ok=True)


def write_run(root: Path, run_id: str, properties: Mapping[str, Any]) -> None:
    """Keeps a run's properties, as `Metadata.runs` returns them."""
    _write(run_folder(root, run_id) / RUN, properties)


def any_in(root: Path) -> bool:
    """Whether a root has records of executions."""
    return any(root.glob(f"*/{SYSTEM}/*.json"))


def restore(root: Path, metadata) -> tuple[int, int]:
    """Puts every record below the root into empty metadata; returns how many executions and runs there were."""
    runs = {path.parent.name: record for path, record in _read(root.glob(f"runs/*/{RUN}"))}
    executions = [record for _, record in _read(root.glob(f"*/{SYSTEM}/*.json"))]
    executions.sort(key=lambda record: record["execution_id"])
    first = {record["run_id"]: record["execution_id"] for record in reversed(executions)}
    order = sorted(runs, key=lambda run_id: (runs[run_id].get("started", ""), first.get(run_id, 0)))
    metadata.restore(executions, {run_id: runs[run_id] for run_id in order})
    return len(executions), len(runs)


def _write(path: Path, record: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(record, indent=1) + "\n")


def _read(paths: Iterator[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in paths:
        try:
            yield path, json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            logging.getLogger(__name__).warning("The record %s cannot be read and is left out (%s).", path, error)
