"""Copies of the lineage as small JSON files beside the artifacts. Lost or damaged metadata are rebuilt from them.

`<root>/<Component>/.system/<execution id>.json` is one complete or cached execution with its artifacts, and `run.json`
in a run's folder is one run.
"""

import datetime
import itertools
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from models import files
from pipeline.metadata.reading import COMPLETE
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
        component: The component's name.
        execution_id: The execution's id.
    """
    (root / component / SYSTEM / f"{execution_id}.json").unlink(missing_ok=True)


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


def restore(root: Path, metadata) -> tuple[int, int, list[dict[str, Any]]]:
    """Fills empty metadata with every record below the root.

    Args:
        root: The pipeline's root.
        metadata: An empty `Metadata`.

    Returns:
        The number of executions, the number of runs, and the records whose ids had to change: write them once the
        metadata are in place.
    """
    runs = {path.parent.name: record for path, record in _read(root.glob(f"runs/*/{RUN}"), {"started": str})}
    executions = [record for _, record in _read(root.glob(f"*/{SYSTEM}/*.json"), _EXECUTION)]
    executions, changed = _with_ids_of_their_own(sorted(executions, key=lambda record: record["execution_id"]))
    first = {record["run_id"]: record["execution_id"] for record in reversed(executions)}
    order = sorted(runs, key=lambda run_id: (_instant(runs[run_id]["started"]), first.get(run_id, 0)))
    metadata.restore(executions, {run_id: runs[run_id] for run_id in order})
    return len(executions), len(runs), changed


def _instant(started: str) -> float:
    """Converts an ISO 8601 time to seconds, since times of another offset are not in the order of their texts."""
    try:
        return datetime.datetime.fromisoformat(started).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _write(path: Path, record: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(record, indent=1) + "\n")


def _with_ids_of_their_own(executions: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Gives new ids to artifacts whose ids others have: the metadata were once lost, and begun again with the id 1.

    Args:
        executions: Records, in the order of their ids. Of two with the same id, the first is kept.

    Returns:
        The records, and those of them that were changed.
    """
    executions = list({record["execution_id"]: record for record in reversed(executions)}.values())[::-1]
    known = [artifact["id"] for record in executions for artifact in record["outputs"].values()]
    known += [artifact_id for record in executions for artifact_id in record["inputs"].values()]
    unused, changed = itertools.count(1 + max(known, default=0)), []
    current: dict[int, int] = {}  # id in the records so far -> id
    for record in executions:
        before = json.dumps(record)
        record["inputs"] = {key: current.get(artifact_id, artifact_id) for key, artifact_id in record["inputs"].items()}
        for artifact in record["outputs"].values():
            if record["state"] == COMPLETE:
                current[artifact["id"]] = next(unused) if artifact["id"] in current else artifact["id"]
            artifact["id"] = current.get(artifact["id"], artifact["id"])
        if json.dumps(record) != before:
            changed.append(record)
    return executions, changed


_EXECUTION = {"execution_id": int, "component": str, "run_id": str, "state": int, "inputs": dict, "outputs": dict,
              "properties": dict}  # fmt: skip
_ARTIFACT = {"id": int, "type": str, "uri": str, "digest": str, "files": dict}


def _read(paths: Iterable[Path], fields: Mapping[str, type]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields the records that can be read and have the fields."""
    for path in paths:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            _check(record, fields)
            for artifact in record["outputs"].values() if fields is _EXECUTION else ():
                _check(artifact, _ARTIFACT)
            yield path, record
        except (OSError, ValueError) as error:
            logging.getLogger(__name__).warning("The record %s cannot be read and is left out (%s).", path, error)


def _check(record: Any, fields: Mapping[str, type]) -> None:
    if not isinstance(record, dict):
        raise ValueError(f"found {type(record).__name__}, expected a mapping")
    wrong = [name for name, kind in fields.items() if not isinstance(record.get(name), kind)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is missing or of another type")
