"""Pusher: puts a blessed model where TensorFlow Serving finds it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pydantic

from components import base
from components.evaluator.baseline import digest
from components.pusher import versions


class Pusher(base.Component):
    """Copies the exported model, as it was judged, to `<serving_dir>/<version>/`, by one rename.

    Outputs:
        pushed_model: `pushed.json` {"path", "version", "digest"}; path and version are null where nothing was pushed.
    """

    INPUTS: ClassVar = {"model": "Model", "blessing": "ModelBlessing", "infra_blessing?": "InfraBlessing"}
    OUTPUTS: ClassVar = {"pushed_model": "PushedModel"}

    class Parameters(base.Parameters):
        """Where to push.

        Attributes:
            serving_dir: Folder of the versions; made where it is missing.
            keep_versions: Versions that stay after a push; only older ones that were pushed by us are removed.
        """

        serving_dir: Path
        keep_versions: int = pydantic.Field(default=3, ge=1)

    def still_valid(self, outputs: Mapping[str, Path]) -> bool:
        """Whether the pushed version is still there as it was, or has given way to a later one.

        A version that was pruned or rolled back is not pushed again; one that was lost with its folder is.
        """
        pushed = json.loads((outputs["pushed_model"] / "pushed.json").read_text(encoding="utf-8"))
        if pushed["version"] is None:
            return True
        present = versions.list_versions(self.parameters.serving_dir)
        if pushed["version"] in present:
            return digest(self.parameters.serving_dir / str(pushed["version"])) == pushed["digest"]
        return any(version > pushed["version"] for version in present)
