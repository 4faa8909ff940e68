"""Finds the baseline: the newest pushed version that is not the candidate itself. Imports no TensorFlow."""

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
    """Computes the digest of a SavedModel, see `models.serving.saved_model.digest`.

    Args:
        folder: The SavedModel's folder.

    Raises:
        ComponentError: If the folder cannot be read.
    """
    try:
        return saved_model.digest(folder)
    except OSError as error:
        raise ComponentError(f"The SavedModel {folder} cannot be read: {error}.") from error


def find(serving_dir: Path | None, candidate: Path) -> Baseline | None:
    """Finds the newest pushed version whose contents differ from the candidate's.

    Args:
        serving_dir: The folder of the pushed versions, or None.
        candidate: The folder of the judged SavedModel.

    Returns:
        The version, or None if there is none.

    Raises:
        ComponentError: If a SavedModel cannot be read.
    """
    versions = {} if serving_dir is None else saved_model.versions(serving_dir)
    candidate_digest = digest(candidate) if versions else ""
    for version, path in reversed(versions.items()):
        version_digest = digest(path)
        if version_digest != candidate_digest:
            return Baseline(version, path, version_digest)
    return None
