"""The folder that TensorFlow Serving watches: versions that only grow, each appearing by one rename.

`<serving_dir>/.pushes.json` remembers what was pushed, so that the number of a removed version is not given again and
versions that others put there are never removed. Names that are no integer are left alone, here as in Serving.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.base import ComponentError
from components.evaluator.baseline import digest

RECORD = ".pushes.json"  # [{"version": 3, "digest": "...", "rollback_of": 1 or null}, ...], oldest first
ASIDE = ".aside-"  # prefix of folders that come or go; Serving ignores them


def list_versions(serving_dir: Path) -> list[int]:
    """Versions that are there, in ascending order; empty where the folder is missing."""
    if not serving_dir.is_dir():
        return []
    return sorted(int(path.name) for path in serving_dir.iterdir() if path.name.isdecimal() and path.is_dir())


def push(saved_model: Path, serving_dir: Path, keep_versions: int, rollback_of: int | None = None) -> dict[str, Any]:
    """Copies a SavedModel in as the next version, then removes versions of ours beyond the newest `keep_versions`.

    Args:
        saved_model: Folder to copy.
        serving_dir: Folder of the versions; made where it is missing.
        keep_versions: How many versions stay, the new one included.
        rollback_of: The older version that is pushed anew, if it is one.

    Returns:
        `path` (as str), `version` and `digest` of the new version.

    Raises:
        ComponentError: If the model is missing or `serving_dir` cannot be written.
    """
    if not (saved_model / "saved_model.pb").is_file():
        raise ComponentError(f"There is no SavedModel in {saved_model}: saved_model.pb is missing. Train again.")
    with _folder(serving_dir):
        record = _read_record(serving_dir)
        version = max([0, *list_versions(serving_dir), *(entry["version"] for entry in record)]) + 1
        aside = serving_dir / f"{ASIDE}{version}"
        shutil.copytree(saved_model, aside)
        entry = {"version": version, "digest": digest(aside), "rollback_of": rollback_of}
        # Recorded first: were we killed before the rename, a number would be skipped, but never given twice.
        _write_record(serving_dir, [*record, entry])
        aside.rename(serving_dir / str(version))
        _prune(serving_dir, keep_versions)
    return {"path": str(serving_dir / str(version)), "version": version, "digest": entry["digest"]}


def roll_back(serving_dir: Path, keep_versions: int) -> dict[str, Any]:
    """Pushes the version before the newest one anew, as a higher version.

    Rolling back again goes one version further back; a version that was rolled back is not gone back to.

    Returns:
        `path`, `version` and `digest` of the new version, `rollback_of` (the version that it is again), `replaced`
        (the newest one until now).

    Raises:
        ComponentError: If there is no earlier version.
    """
    present = list_versions(serving_dir)
    if not present:
        raise ComponentError(f"pipeline.serving_dir: no version was pushed to {serving_dir} yet; nothing to roll back.")
    origins = {entry["version"]: entry["rollback_of"] or entry["version"] for entry in _read_record(serving_dir)}
    origins = {version: version for version in present} | origins
    standing: list[int] = []  # what was pushed and not rolled back, as after each version
    for version in sorted(origins):
        if origins[version] == version:
            standing.append(version)
        while standing[-1:] > [origins[version]]:
            standing.pop()
    for wanted in reversed(standing[:-1]):
        copies = [version for version in present if origins[version] == wanted]
        if copies:  # the version itself may have been pruned, its rollback not
            pushed = push(serving_dir / str(copies[-1]), serving_dir, keep_versions, rollback_of=wanted)
            return pushed | {"rollback_of": wanted, "replaced": present[-1]}
    again = {version: f" ({origins[version]} again)" for version in present if origins[version] != version}
    undone = {version: " (rolled back)" for version in present if version not in again and version not in standing}
    held = ", ".join(f"{version}{(again | undone).get(version, '')}" for version in present)
    raise ComponentError(
        f"pipeline.serving_dir: {serving_dir} has no version before {origins[present[-1]]} to go back to (it holds "
        f"{held}). Older versions are kept as far as pusher.keep_versions says."
    )


def _prune(serving_dir: Path, keep_versions: int) -> None:
    ours = {entry["version"] for entry in _read_record(serving_dir)}
    for version in [version for version in list_versions(serving_dir) if version in ours][:-keep_versions]:
        aside = serving_dir / f"{ASIDE}{version}"
        (serving_dir / str(version)).rename(aside)  # gone at once for Serving, then removed file by file
        shutil.rmtree(aside)


@contextlib.contextmanager
def _folder(serving_dir: Path) -> Iterator[None]:
    """The folder, to one push at a time, cleared of what a killed push left."""
    try:
        serving_dir.mkdir(parents=True, exist_ok=True)
        with (serving_dir / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _clear(serving_dir)
            try:
                yield
            except BaseException:
                _clear(serving_dir)
                raise
    except shutil.Error as error:  # one (source, destination, reason) for each file that was not copied
        raise ComponentError(
            f"pipeline.serving_dir: nothing was pushed to {serving_dir}: {error.args[0][0][2]}."
        ) from error
    except OSError as error:
        raise ComponentError(
            f"pipeline.serving_dir: {serving_dir} cannot be written ({error}). Name a folder of yours with "
            "--set pipeline.serving_dir=FOLDER."
        ) from error


def _clear(serving_dir: Path) -> None:
    for path in serving_dir.glob(f"{ASIDE}*"):
        shutil.rmtree(path, ignore_errors=True)


def _read_record(serving_dir: Path) -> list[dict[str, Any]]:
    path = serving_dir / RECORD
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    except ValueError as error:
        raise ComponentError(f"{path} is not the JSON that a push wrote ({error}). Restore or remove it.") from error


def _write_record(serving_dir: Path, record: list[dict[str, Any]]) -> None:
    aside = serving_dir / f"{RECORD}.new"
    aside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    os.replace(aside, serving_dir / RECORD)
