"""Runs of the fake components, and what they leave below a root."""

from pathlib import Path

from pipeline.metadata.store import Metadata
from pipeline.runner.local_runner import LocalRunner
from tests.pipeline.runner.fake_components import chain


def run(root: Path, components=None, use_cache=True, until=None, **options) -> dict:
    with LocalRunner(root, use_cache) as runner:
        return runner.run(components or chain(root / "serving", **options), until)


def statuses(record: dict) -> dict[str, str]:
    return {step["name"]: step["status"] for step in record["components"]}


def files(root: Path) -> set[str]:
    """Everything below the root but the runner's own bookkeeping."""
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {
        name for name in found if not name.startswith(("metadata.sqlite", ".lock", "runs/")) and "/.sys" not in name
    }


def lineage(root: Path) -> list:
    """All that the metadata say, but for when it was written."""
    with Metadata(root / "metadata.sqlite", read_only=True) as records:
        executions = records._db.execute(
            "SELECT e.id, t.name, e.last_known_state FROM Execution e JOIN Type t ON t.id = e.type_id ORDER BY e.id"
        )
        found = [
            (*row, records.properties("Execution", row[0]), records.inputs(row[0]), records.outputs(row[0]))
            for row in executions.fetchall()
        ]
        assert not records._db.execute("PRAGMA foreign_key_check").fetchall()
        return [*found, records.runs()]


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x20
    path.write_bytes(content)
