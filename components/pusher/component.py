"""Pusher: copies a blessed model to the folder in which TensorFlow Serving looks for versions."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from components import base
from components.artifacts.pushed_model import PUSHED
from components.evaluator.baseline import digest
from components.pusher import versions
from models.parameters import Parameters, Whole, setting


class PusherSettings(Parameters):
    """How many versions are kept."""

    keep_versions: Whole = setting(
        3,
        "Versions kept in serving_dir; older ones that were pushed from here are removed after a push.",
        ge=1,
    )


class Pusher(base.Component):
    """Copies the exported model, exactly as it was judged, to `<serving_dir>/<version>/`, by one rename.

    Outputs:
        pushed_model: `pushed.json` {"path", "version", "digest"}; the values are null if nothing was pushed.
    """

    INPUTS: ClassVar = {"model": "Model", "blessing": "ModelBlessing", "infra_blessing?": "InfraBlessing"}
    OUTPUTS: ClassVar = {"pushed_model": "PushedModel"}

    class Parameters(PusherSettings):
        """The serving folder, and how many versions are kept there."""

        serving_dir: Path

    def still_valid(self, outputs: Mapping[str, Path]) -> bool:
        """Whether the pushed version is unchanged, or a later version has replaced it.

        A version that was pruned or rolled back is not pushed again; one that was lost with its folder is. If nothing
        was pushed, it is tried again: what forbade it may be gone.

        Args:
            outputs: `pushed_model` is read.

        Raises:
            ComponentError: If `pushed.json` or the version cannot be read.
        """
        pushed = PUSHED.read(outputs["pushed_model"])
        if pushed["version"] is None:
            return False
        present = versions.list_versions(self.parameters.serving_dir)
        if pushed["version"] in present:
            return digest(self.parameters.serving_dir / str(pushed["version"])) == pushed["digest"]
        return any(version > pushed["version"] for version in present)
