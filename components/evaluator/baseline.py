"""Finds the model to beat: the newest pushed version that is not the candidate itself. Needs no TensorFlow."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from components.base import ComponentError

CARD_FOLDER = "assets.extra"  # the model's card: it names the run, so that it differs between two equal models


@dataclass(frozen=True)
class Baseline:
    """A pushed version: its number, its folder and the digest of its contents."""

    version: int
    path: Path
    digest: str


def digest(saved_model: Path) -> str:
    """SHA-256 over names and contents of a SavedModel's files, its card (`assets.extra`) left out.

    Raises:
        ComponentError: If the folder cannot be read.
    """
    total = hashlib.sha256()
    try:
        for path in sorted(path for path in saved_model.rglob("*") if path.is_file()):
            name = path.relative_to(saved_model)
            if name.parts[0] == CARD_FOLDER:
                continue
            with path.open("rb") as file:
                contents = hashlib.file_digest(file, "sha256").digest()
            total.update(name.as_posix().encode("utf-8", "surrogateescape") + b"\0" + contents)
    except OSError as error:
        raise ComponentError(f"The SavedModel {saved_model} cannot be read: {error}.") from error
    return total.hexdigest()


def find(serving_dir: Path | None, candidate: Path) -> Baseline | None:
    """The newest version under `serving_dir` whose contents differ from those of the SavedModel `candidate`.

    Versions are folders whose name is an integer, as TensorFlow Serving reads them. None where there is none.
    """
    if serving_dir is None or not serving_dir.is_dir():
        return None
    versions = sorted(
        (int(path.name), path) for path in serving_dir.iterdir() if path.name.isdecimal() and path.is_dir()
    )
    candidate_digest = digest(candidate) if versions else ""
    for version, path in reversed(versions):
        found = digest(path)
        if found != candidate_digest:
            return Baseline(version, path, found)
    return None
