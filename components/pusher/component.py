"""Pusher: puts a blessed model where TensorFlow Serving finds it."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from components import base
from components.artifacts.pushed_model import PUSHED
from components.evaluator.baseline import digest
from components.pusher import versions
from models.parameters import Parameters, Whole, setting


class PusherSettings(Parameters):
    """What stays after a push."""

    keep_versions: Whole = setting(
        3,
        "Versions kept in serving_dir; older ones that were pushed from here are removed after a push.",
        ge=1,
    )


class Pusher(base.Component):
    """Copies the exported model, as it was judged, to `<serving_dir>/<version>/`, by one rename.

    Outputs:
        pushed_model: `pushed.json` {"path", "version", "digest"}; path and version are null where nothing was pushed.
    """

    INPUTS: ClassVar = {"model": "Model", "blessing": "ModelBlessing", "infra_blessing?": "InfraBlessing"}
    OUTPUTS: ClassVar = {"pushed_model": "PushedModel"}

    class Parameters(PusherSettings):
        """Where to push, and what stays there."""

        serving_dir: Path

    def still_valid(self, outputs: Mapping[str, Path]) -> bool:
        """Whether the pushed version is still there as it was, or has given way to a later one.

        A version that was pruned or rolled back is not pushed again; one that was lost with its folder is.
        """
        pushed = PUSHED.read(outputs["pushed_model"])
        if pushed["version"] is None:
            return True
        present = versions.list_versions(self.parameters.serving_dir)
        if pushed["version"] in present:
            return digest(self.parameters.serving_dir / str(pushed["version"])) == pushed["digest"]
        return any(version > pushed["version"] for version in present)
