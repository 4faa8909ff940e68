"""A pushed version with its card, its lineage and the splits that it was evaluated on."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.artifacts.evaluation import EVALUATION, Evaluation
from components.artifacts.model_card import CARD, ModelCard
from components.artifacts.pushed_model import PUSHED
from components.artifacts.splits import EVALUATED_SPLITS, split_dir
from components.base import ComponentError
from components.evaluator.baseline import digest
from components.pusher.versions import list_versions
from pipeline import program
from pipeline.config import Settings
from pipeline.errors import RunnerError, describe
from pipeline.metadata.store import Metadata
from pipeline.pipeline import serving_dir
from pipeline.root import metadata_file


@dataclass(frozen=True)
class PushedModel:
    """A pushed version.

    Attributes:
        version: Its number.
        path: The SavedModel's folder.
        card: Contents of `assets.extra/model_card.json`.
        figures: Component -> the figures that it returned; empty if the lineage is not known.
        parameters: Component -> its parameters; empty if the lineage is not known.
        evaluation: Contents of `evaluation.json`, or None if it does not exist.
        tokens: Folder of the splits' token ids, or None if it is not known.
    """

    version: int
    path: Path
    card: ModelCard
    figures: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Mapping[str, Any]]
    evaluation: Evaluation | None
    tokens: Path | None


def find(settings: Settings, version: int | None, tokens: Path | None) -> PushedModel:
    """Finds a pushed version.

    Args:
        settings: The settings, which name the serving folder and the root that has the lineage.
        version: The version's number; None for the newest.
        tokens: Folder of the splits' token ids; None for the one that the lineage names.

    Raises:
        RunnerError: If there is no such version, its card cannot be read, or `tokens` lacks the splits.
    """
    folder, root = serving_dir(settings), Path(settings.pipeline.root).expanduser()
    present = list_versions(folder)
    if not present:
        raise RunnerError(
            f"pipeline.serving_dir: no version was pushed to {folder}. Train and push one with "
            f"`{program.main_job()}`, or name the folder with --set pipeline.serving_dir=FOLDER."
        )
    if version is not None and version not in present:
        held = ", ".join(map(str, present))
        raise RunnerError(f"--version {version}: {folder} has no such version; it holds {held}.")
    version = present[-1] if version is None else version
    path = folder / str(version)
    try:
        card = CARD.read(path)
    except ComponentError as error:
        raise RunnerError(
            f"{path / CARD.file} cannot be read as the card of a pushed model. {error} Push the model again, or name "
            "another --version."
        ) from error
    if "dropout" not in card["recipe"]:  # the card leaves the recipe open, but an export needs it
        raise RunnerError(
            f"{path / CARD.file} cannot be read as the card of a pushed model: its recipe has no dropout. Push the "
            "model again, or name another --version."
        )
    executions = _executions(root, digest(path))
    evaluation = _evaluation(root, executions)
    if tokens is None and "Transform" in executions:
        tokens = root / executions["Transform"]["outputs"]["transformed_examples"].uri
        tokens = tokens if tokens.is_dir() else None
    elif tokens is not None and not all(split_dir(tokens, split).is_dir() for split in EVALUATED_SPLITS):
        raise RunnerError(
            f"--tokens {tokens}: expected the folders Split-eval and Split-test, as Transform writes them "
            "(<root>/Transform/transformed_examples/<execution>)."
        )
    figures = {name: execution["figures"] for name, execution in executions.items()}
    parameters = {name: execution["parameters"] for name, execution in executions.items()}
    return PushedModel(version, path, card, figures, parameters, evaluation, tokens)


def _executions(root: Path, wanted: str) -> dict[str, dict[str, Any]]:
    """Returns component -> the execution that led to a pushed model of this digest; empty if nothing is recorded."""
    file = metadata_file(root)
    if not file.is_file():
        return {}
    try:
        with Metadata(file, read_only=True) as metadata:
            for artifact in metadata.artifacts("PushedModel"):
                pushed = PUSHED.read_if_whole(root / artifact.uri)
                if pushed is None or pushed["digest"] != wanted:
                    continue
                lineage = metadata.lineage(artifact.id)
                known = [metadata.properties("Execution", execution["execution_id"]) for execution in lineage]
                by_component = {
                    execution["component"]: {
                        **execution,
                        "figures": properties.get("figures", {}),
                        "parameters": properties.get("parameters", {}),
                    }
                    for execution, properties in zip(lineage, known, strict=True)
                }
                if "Trainer" in by_component:  # a rollback has none
                    return by_component
    except (ComponentError, OSError, sqlite3.Error, ValueError, KeyError, TypeError) as error:
        raise RunnerError(describe(error, root)) from error
    return {}


def _evaluation(root: Path, executions: Mapping[str, Mapping[str, Any]]) -> Evaluation | None:
    if "Evaluator" not in executions:
        return None
    try:
        return EVALUATION.read(root / executions["Evaluator"]["outputs"]["evaluation"].uri)
    except (ComponentError, KeyError):  # removed or damaged: the card then has no figures
        return None
