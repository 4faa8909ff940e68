"""Pushes what the Trainer exported, if every judge blessed it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.base import Context
from components.pusher import versions
from components.pusher.component import Pusher
from models.serving import saved_model

BLESSINGS = {"blessing": "BLESSED", "infra_blessing": "INFRA_BLESSED"}  # input key -> file that says yes


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Pusher.Parameters, context: Context
) -> dict[str, Any]:
    """Pushes the model and writes `pushed.json`; returns `pushed_model` (path or None) and `version`."""
    del context
    blessed = all((inputs[key] / name).is_file() for key, name in BLESSINGS.items() if key in inputs)
    if blessed:
        pushed = versions.push(inputs["model"] / saved_model.EXPORT, parameters.serving_dir, parameters.keep_versions)
    else:
        pushed = {"path": None, "version": None, "digest": None}
    (outputs["pushed_model"] / "pushed.json").write_text(json.dumps(pushed, indent=2) + "\n", encoding="utf-8")
    return {"pushed_model": pushed["path"], "version": pushed["version"]}
