"""Runs the fake components, and reads what they left below a root."""

import contextlib
import sqlite3
from pathlib import Path

from pipeline.metadata.store import Metadata
from pipeline.root import metadata_file
from pipeline.runner.local_runner import LocalRunner
from tests.pipeline.runner.fake_components import chain


def run(root: Path, components=None, use_cache=True, until=None, **options) -> dict:
    with LocalRunner(root, use_cache) as runner:
        return runner.run(components or chain(root / "serving", **options), until)


def statuses(record: dict) -> dict[str, str]:
    return {step["name"]: step["status"] for step in record["components"]}


def files(root: Path) -> set[str]:
    """All files below the root except the runner's own records."""
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {
        name for name in found if not name.startswith(("metadata.sqlite", ".lock", "runs/")) and "/.sys" not in name
    }


def lineage(root: Path) -> list:
    """Everything in the metadata except times."""
    with Metadata(metadata_file(root), read_only=True) as records:
        executions = [
            (*row, records.properties("Execution", row[0]), records.inputs(row[0]), records.outputs(row[0]))
            for row in _rows(root)
        ]
        return [*executions, records.runs()]


def _rows(root: Path) -> list[tuple[int, str, int]]:
    """Id, component and state of every execution, read without the project's code."""
    address = f"{metadata_file(root).absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        assert not database.execute("PRAGMA foreign_key_check").fetchall()
        return database.execute(
            "SELECT e.id, t.name, e.last_known_state FROM Execution e JOIN Type t ON t.id = e.type_id ORDER BY e.id"
        ).fetchall()


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x20
    path.write_bytes(content)
