"""Copies of the lineage as small JSON files beside the artifacts. Lost or damaged metadata are rebuilt from them.

`<root>/<Component>/.system/<execution id>.json` is one complete or cached execution with its artifacts, and `run.json`
in a run's folder is one run.
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
    """Writes the record of one execution.

    Args:
        root: The pipeline's root.
        record: `execution_id`, `component`, `run_id`, `state`, `inputs`, `outputs`, `properties`.
    """
    _write(root / record["component"] / SYSTEM / f"{record['execution_id']}.json", record)


def has_execution(root: Path, component: str, execution_id: int) -> bool:
    """Returns whether an execution has its record.

    Args:
        root: The pipeline's root.
        component: The component's name.
        execution_id: The execution's id.
    """
    return (root / component / SYSTEM / f"{execution_id}.json").is_file()


def remove_execution(root: Path, component: str, execution_id: int) -> None:
    """Removes the record of an execution whose outputs cannot be used.

    Args:
        root: The pipeline's root.
        component: The component's name, or a glob pattern.
        execution_id: The execution's id.
    """
    for path in root.glob(f"{component}/{SYSTEM}/{execution_id}.json"):
        path.unlink(missing_ok=True)


def write_run(root: Path, run_id: str, properties: Mapping[str, Any]) -> None:
    """Writes the record of one run.

    Args:
        root: The pipeline's root.
        run_id: The run's id.
        properties: The run's properties, as `Metadata.runs` returns them.
    """
    _write(run_folder(root, run_id) / RUN, properties)


def any_in(root: Path) -> bool:
    """Returns whether a root has records of executions.

    Args:
        root: The pipeline's root.
    """
    return any(root.glob(f"*/{SYSTEM}/*.json"))


def restore(root: Path, metadata) -> tuple[int, int]:
    """Fills empty metadata with every record below the root.

    Args:
        root: The pipeline's root.
        metadata: An empty `Metadata`.

    Returns:
        The number of executions and the number of runs.
    """
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
