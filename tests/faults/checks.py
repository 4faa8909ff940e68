"""Checks of a root after every kill, and of its final results."""

import contextlib
import hashlib
import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py

from pipeline.root import metadata_file, staging_folder, temporary_folder, work_root
from pipeline.runner.workspaces import FINISHED
from tests.faults.plan import SIGNALS, Fault
from tests.faults.world import ORPHAN_SECONDS, STOP_SECONDS, Outcome

RUNNING, COMPLETE, CACHED = 2, 3, 5
DANGLING = {
    "events without an execution": "SELECT id FROM Event WHERE execution_id NOT IN (SELECT id FROM Execution)",
    "events without an artifact": "SELECT id FROM Event WHERE artifact_id NOT IN (SELECT id FROM Artifact)",
    "events without a key": "SELECT id FROM Event WHERE id NOT IN (SELECT event_id FROM EventPath)",
    "artifacts that nobody wrote": "SELECT id FROM Artifact WHERE id NOT IN"
    " (SELECT artifact_id FROM Event WHERE type = 4)",
    "artifacts in no context": "SELECT id FROM Artifact WHERE id NOT IN (SELECT artifact_id FROM Attribution)",
    "executions in no context": "SELECT id FROM Execution WHERE id NOT IN (SELECT execution_id FROM Association)",
    "complete executions without an output": "SELECT id FROM Execution WHERE last_known_state IN (3, 5)"
    " AND id NOT IN (SELECT execution_id FROM Event WHERE type = 4)",
    "components that were complete and ran again": "SELECT type_id FROM Execution WHERE last_known_state = 3"
    " GROUP BY type_id HAVING count(*) > 1",
    "components that began after they were complete": "SELECT b.id FROM Execution a JOIN Execution b"
    " ON a.type_id = b.type_id AND b.id > a.id WHERE a.last_known_state = 3 AND b.last_known_state != 5",
}


def after_fault(root: Path, fault: Fault, outcome: Outcome, shape: dict[str, set[str]]) -> list[str]:
    """Returns what is wrong after a command that met a fault; an empty list if nothing is.

    Args:
        root: The command's root.
        fault: The fault.
        outcome: How the command ended.
        shape: What `shape_of` returns for an undisturbed root: the names of the files of each output.
    """
    problems = []
    if outcome.orphans is None:
        problems.append(f"processes outlived the command by more than {ORPHAN_SECONDS} s")
    if fault.exit_code is not None and outcome.met:
        name = next(name for name in SIGNALS if fault.action.startswith(name))
        if outcome.code != fault.exit_code:
            problems.append(f"exit code {outcome.code} after {name}")
        if outcome.stop_seconds > STOP_SECONDS:
            problems.append(f"ended {outcome.stop_seconds} s after {name}")
        if "Run the same command again to resume" not in outcome.stderr:
            problems.append(f"nothing was printed about how to resume: {outcome.stderr[-300:]}")
        if "Traceback" in outcome.stderr:
            problems.append(f"a traceback: {outcome.stderr[-1500:]}")
    if fault.action == "disk full" and outcome.met:
        reported = " is full. Free some space" in outcome.stderr and "Traceback" not in outcome.stderr
        if outcome.code not in (0, 1, 2) or not reported:
            problems.append(f"exit code {outcome.code} on a full disk: {outcome.stderr[-1500:]}")
    if fault.action == "memory limit" and outcome.met and outcome.code == 0:
        problems.append("the limit did not end the command")
    return problems + of_lineage(root) + of_outputs(root, shape)


def of_lineage(root: Path) -> list[str]:
    """Returns dangling rows, broken pages, components that ran again, artifacts that differ from their record."""
    if not metadata_file(root).exists():
        return []
    problems = []
    with _copy(root) as database:
        for check in ("integrity_check", "foreign_key_check"):
            found = database.execute(f"PRAGMA {check}").fetchall()
            if found not in ([("ok",)], []):
                problems.append(f"{check}: {found[:3]}")
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'Event'").fetchone():
            return problems
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'Association'").fetchone():
            return problems
        for name, query in DANGLING.items():
            rows = database.execute(query).fetchall()
            if rows:
                problems.append(f"{name}: {rows[:3]}")
        rows = database.execute(
            "SELECT a.uri, p.string_value FROM Artifact a JOIN ArtifactProperty p ON p.artifact_id = a.id"
            " WHERE p.name = 'files'"
        ).fetchall()
    for uri, files in rows:
        recorded = {name: sha256 for name, (_, _, sha256) in json.loads(files).items()}
        if recorded != _digests(root / uri):
            problems.append(f"{uri} differs from its record")
    return problems


def of_outputs(root: Path, shape: dict[str, set[str]]) -> list[str]:
    """Returns outputs and pushed versions that are visible but incomplete."""
    problems = []
    for key, names in shape_of(root, each=True):
        if names != shape[key]:
            problems.append(f"{key} is partial: {sorted(names)} instead of {sorted(shape[key])}")
    models = [_digests(folder) for folder in root.glob("Trainer/model/*/Format-Serving")]
    for version in root.glob("serving/[0-9]*"):
        if _digests(version) not in models:
            problems.append(f"serving/{version.name} is not the Trainer's model")
    return problems


def shape_of(root: Path, each: bool = False):
    """Returns output, such as "Transform/transformed_examples", -> names of its files; with `each`, all executions."""
    found = []
    for folder in sorted(root.glob("[A-Z]*/*/*")):
        if folder.name.isdecimal() and folder.parent.name != ".system":
            names = {re.sub(r"tfevents\..*|trial_?\d+", "*", name) for name in _digests(folder)}
            found.append((folder.parent.relative_to(root).as_posix(), names))
    return found if each else dict(found)


def left_over(world_folder: Path, root: Path) -> list[str]:
    """Returns temporary files that exist although the last command succeeded.

    The workspace of a finished search does not count: it is kept for a search with more trials.
    """
    found = [*staging_folder(root).glob("*"), *root.glob("serving/.aside-*")]
    found += [folder for folder in [temporary_folder(root)] if folder.exists()]
    found += [path for path in work_root(root).glob("*/*") if not (path / FINISHED).is_file()]
    found += [
        path
        for path in root.rglob(".*")
        if path.is_file() and path.name not in (".lock", ".pushes.lock", ".pushes.json")
    ]
    found += (world_folder / "temporary").iterdir()
    return [f"left over: {path}" for path in found]


def unrecorded(root: Path) -> list[str]:
    """Returns output folders that are not in the metadata although the last command succeeded."""
    with _copy(root) as database:
        known = {uri for (uri,) in database.execute("SELECT uri FROM Artifact")}
    found = {path.relative_to(root).as_posix() for path in root.glob("[A-Z]*/*/*") if path.name.isdecimal()}
    return [f"not recorded: {uri}" for uri in sorted(found - known)]


def results(root: Path) -> dict[str, str]:
    """Returns the SHA-256 of what must not depend on kills: Examples, vocabulary, streams, weights (as float32)."""
    found = {}
    for pattern in ("ExampleGen/examples", "VocabularyGen/vocabulary", "Transform/transformed_examples"):
        for folder in root.glob(f"{pattern}/*"):
            found |= {f"{pattern}/{name}": digest for name, digest in _digests(folder).items()}
    for path in root.glob("Trainer/model/*/model.weights.h5"):
        found["weights"] = _weights(path)
        found["pushed weights"] = _digests(path.parent)["Format-Serving/variables/variables.data-00000-of-00001"]
    return found


def finished(root: Path) -> int:
    """Returns how many components are complete."""
    if not metadata_file(root).exists():
        return 0
    with _copy(root) as database, contextlib.suppress(sqlite3.OperationalError):
        query = "SELECT count(*) FROM Execution WHERE last_known_state = ?"
        return database.execute(query, (COMPLETE,)).fetchone()[0]
    return 0


def _weights(path: Path) -> str:
    total, arrays = hashlib.sha256(), {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    for name in sorted(arrays):
        total.update(name.encode() + arrays[name].astype("<f4").tobytes())
    return total.hexdigest()


@contextlib.contextmanager
def _copy(root: Path) -> Iterator[sqlite3.Connection]:
    """Opens a copy of the metadata: opening the file itself would apply the journal, which the next run must do."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("metadata.sqlite", "metadata.sqlite-wal"):
            if (root / name).exists():
                shutil.copy(root / name, folder)
        with contextlib.closing(sqlite3.connect(Path(folder, "metadata.sqlite"))) as database:
            yield database


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
