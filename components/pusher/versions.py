"""The folder that TensorFlow Serving watches: version numbers only grow, and each version appears by one rename.

Folders whose names are not integers are left alone, as in Serving. `push_record` remembers what was pushed.
"""

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.base import ComponentError
from components.evaluator.baseline import digest
from components.pusher import push_record
from components.pusher.push_record import Push
from models import files
from models.serving import saved_model as saved_models

LOCK_FILE = ".pushes.lock"  # not `.lock`, which a run holds if this is its root, too
ASIDE = ".aside-"  # prefix of folders that are being added or removed; Serving ignores them


class RolledBackError(ComponentError):
    """The model was rolled back, and is not pushed again by itself: the message says how to publish it."""


def list_versions(serving_dir: Path) -> list[int]:
    """Lists the versions in a folder, in ascending order; the list is empty if the folder is missing.

    Args:
        serving_dir: The folder in which versions are served.
    """
    return list(saved_models.versions(serving_dir))


def push(saved_model: Path, serving_dir: Path, keep_versions: int) -> dict[str, Any]:
    """Copies a SavedModel as the next version, then removes all but the newest `keep_versions` of the pushed versions.

    If the newest version already is that model (because a push was killed before it was recorded, say), nothing is
    copied. A model that was rolled back is not pushed again: another `pusher.keep_versions`, say, must not undo it.

    Args:
        saved_model: The folder to copy.
        serving_dir: The folder of the versions; made if it is missing.
        keep_versions: Number of versions to keep, the new one included.

    Returns:
        `path` (as str), `version` and `digest` of the newest version, which is the model.

    Raises:
        RolledBackError: If the model was rolled back.
        ComponentError: If the model is missing or `serving_dir` cannot be written.
    """
    if not (saved_model / "saved_model.pb").is_file():
        raise ComponentError(f"There is no SavedModel in {saved_model}: saved_model.pb is missing. Train again.")
    with _folder(serving_dir):
        present = list_versions(serving_dir)
        pushes = push_record.read(serving_dir, present)
        model_digest = digest(saved_model)
        if present and digest(serving_dir / str(present[-1])) == model_digest:
            if not any(known.version == present[-1] for known in pushes if not known.pending):
                pushes = [known for known in pushes if known.version != present[-1]]
                pushes.append(Push(version=present[-1], digest=model_digest))
            push_record.write(serving_dir, pushes)
            return _pushed(serving_dir, present[-1], model_digest)
        undone = _rolled_back(serving_dir, present, pushes, model_digest)
        if undone is not None:
            raise RolledBackError(
                f"The model is version {undone} of {serving_dir}, which was rolled back, so it was not pushed again. "
                f"To publish it all the same, copy {saved_model} to {serving_dir / str(_next(present, pushes))}."
            )
        return _copy(saved_model, serving_dir, keep_versions, pushes)


def roll_back(serving_dir: Path, keep_versions: int) -> dict[str, Any]:
    """Republishes the version before the newest one, as a higher version.

    A second rollback returns to one version further back. A version that was rolled back, or that has the same contents
    as the newest, is passed over.

    Args:
        serving_dir: The folder of the versions.
        keep_versions: Number of versions to keep, the new one included.

    Returns:
        `path`, `version` and `digest` of the new version, `rollback_of` (the version that was republished) and
        `replaced` (the newest version until now).

    Raises:
        ComponentError: If there is no earlier version, or `serving_dir` cannot be written.
    """
    with _versions_locked(serving_dir) as (present, pushes):
        target, copy = _previous(serving_dir, present, pushes)
        pushed = _copy(serving_dir / str(copy), serving_dir, keep_versions, pushes, rollback_of=target)
        return pushed | {"rollback_of": target, "replaced": present[-1]}


def check_rollback(serving_dir: Path) -> None:
    """Checks that there is a version to go back to.

    Args:
        serving_dir: The folder of the versions.

    Raises:
        ComponentError: If there is none, or `serving_dir` cannot be written.
    """
    with _versions_locked(serving_dir) as (present, pushes):
        _previous(serving_dir, present, pushes)


@contextlib.contextmanager
def _versions_locked(serving_dir: Path) -> Iterator[tuple[list[int], list[Push]]]:
    """Locks a folder that has versions, and yields them and the pushes; a folder that has none is not made."""
    if not list_versions(serving_dir):
        raise ComponentError(f"pipeline.serving_dir: no version was pushed to {serving_dir} yet; nothing to roll back.")
    with _folder(serving_dir):
        present = list_versions(serving_dir)
        yield present, push_record.read(serving_dir, present)


def _previous(serving_dir: Path, present: list[int], pushes: list[Push]) -> tuple[int, int]:
    """Returns the version before the newest one, and the folder that has its contents.

    They differ where the version was pruned while its rollback still exists.
    """
    origins, active = _history(present, pushes)
    newest = digest(serving_dir / str(present[-1]))
    for target in reversed(active[:-1]):
        copies = [version for version in present if origins[version] == target]
        if copies and digest(serving_dir / str(copies[-1])) != newest:
            return target, copies[-1]
    raise ComponentError(_no_earlier_message(serving_dir, present, origins, active))


def _rolled_back(serving_dir: Path, present: list[int], pushes: list[Push], model_digest: str) -> int | None:
    """Returns the version of a model's newest push if it was rolled back, otherwise None.

    A version with the model's contents that was copied to the folder later, by hand, is a push, too.
    """
    origins, active = _history(present, pushes)
    pushed = [push.version for push in pushes if push.digest == model_digest and push.version in origins]
    if not pushed or origins[pushed[-1]] in active:
        return None
    later = [version for version in present if version > pushed[-1] and version in active]
    return None if any(digest(serving_dir / str(version)) == model_digest for version in later) else pushed[-1]


def _history(present: list[int], pushes: list[Push]) -> tuple[dict[int, int], list[int]]:
    """Returns the version that each version republished, or itself, and the versions that were not rolled back."""
    origins = {version: version for version in present}
    origins |= {push.version: push.rollback_of or push.version for push in pushes if not push.pending}
    active: list[int] = []  # after each version in turn
    for version in sorted(origins):
        if origins[version] == version:
            active.append(version)
        while active[-1:] > [origins[version]]:
            active.pop()
    return origins, active


def _no_earlier_message(serving_dir: Path, present: list[int], origins: dict[int, int], active: list[int]) -> str:
    again = {version: f" ({origins[version]} again)" for version in present if origins[version] != version}
    undone = {version: " (rolled back)" for version in present if version not in again and version not in active}
    held = ", ".join(f"{version}{(again | undone).get(version, '')}" for version in present)
    return (
        f"pipeline.serving_dir: {serving_dir} has no version before {origins[present[-1]]} to go back to (it holds "
        f"{held}). Older versions are kept as far as pusher.keep_versions says."
    )


def _copy(
    source: Path, serving_dir: Path, keep_versions: int, pushes: list[Push], rollback_of: int | None = None
) -> dict[str, Any]:
    version = _next(list_versions(serving_dir), pushes)
    aside = serving_dir / f"{ASIDE}{version}"
    shutil.copytree(source, aside)
    push = Push(version=version, digest=digest(aside), rollback_of=rollback_of, pending=True)
    # The push is recorded first: if it is killed before the rename, a number is skipped but never used twice.
    push_record.write(serving_dir, [*pushes, push])
    files.move_into_place(aside, serving_dir / str(version))
    pushes = [*pushes, push.model_copy(update={"pending": False})]
    push_record.write(serving_dir, pushes)
    _prune(serving_dir, keep_versions, {push.version for push in pushes if not push.pending})
    return _pushed(serving_dir, version, push.digest)


def _next(present: list[int], pushes: list[Push]) -> int:
    return max([0, *present, *(push.version for push in pushes)]) + 1


def _pushed(serving_dir: Path, version: int, digest: str) -> dict[str, Any]:
    return {"path": str(serving_dir / str(version)), "version": version, "digest": digest}


def _prune(serving_dir: Path, keep_versions: int, ours: set[int]) -> None:
    for version in [version for version in list_versions(serving_dir) if version in ours][:-keep_versions]:
        aside = serving_dir / f"{ASIDE}{version}"
        (serving_dir / str(version)).rename(aside)  # Serving sees it vanish at once; its files are removed after
        shutil.rmtree(aside)


@contextlib.contextmanager
def _folder(serving_dir: Path) -> Iterator[None]:
    """Makes the folder, locks it for one push at a time, and removes what a killed push left behind."""
    try:
        serving_dir.mkdir(parents=True, exist_ok=True)
        with _lock(serving_dir / LOCK_FILE):
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
            f"pipeline.serving_dir: {serving_dir} cannot be written ({error}). Name a folder that you can write to: "
            "--set pipeline.serving_dir=FOLDER."
        ) from error


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Locks a file. If another push holds the lock, logs that and waits.

    The kernel releases the lock of a process that died.
    """
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(20).strip() or "unknown"
            logging.getLogger(__name__).info("Waiting for another push to %s (process %s).", path.parent, holder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _clear(serving_dir: Path) -> None:
    for path in serving_dir.glob(f"{ASIDE}*"):
        shutil.rmtree(path, ignore_errors=True)
