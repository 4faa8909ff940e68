"""Finds the model to beat: the newest pushed version that is not the candidate itself. Needs no TensorFlow."""

from dataclasses import dataclass
from pathlib import Path

from components.base import ComponentError
from models.serving import saved_model


@dataclass(frozen=True)
class Baseline:
    """A pushed version: its number, its folder and the digest of its contents."""

    version: int
    path: Path
    digest: str


def digest(folder: Path) -> str:
    """`models.serving.saved_model.digest`.

    Raises:
        ComponentError: If the folder cannot be read.
    """
    try:
        return saved_model.digest(folder)
    except OSError as error:
        raise ComponentError(f"The SavedModel {folder} cannot be read: {error}.") from error


def find(serving_dir: Path | None, candidate: Path) -> Baseline | None:
    """The newest version under `serving_dir` whose contents differ from those of the SavedModel `candidate`.

    None where there is none.
    """
    versions = {} if serving_dir is None else saved_model.versions(serving_dir)
    candidate_digest = digest(candidate) if versions else ""
    for version, path in reversed(versions.items()):
        found = digest(path)
        if found != candidate_digest:
            return Baseline(version, path, found)
    return None
