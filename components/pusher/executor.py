"""Pushes the exported model if every judge blessed it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import blessing
from components.artifacts.pushed_model import PUSHED, Pushed
from components.base import Context
from components.pusher import versions
from components.pusher.component import Pusher
from models.serving import saved_model


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Pusher.Parameters, context: Context
) -> dict[str, Any]:
    """Pushes the model to the serving folder if every judge blessed it.

    Args:
        inputs: `model` (the SavedModel), `blessing` (the Evaluator's) and, optionally, `infra_blessing`.
        outputs: `pushed_model` receives `pushed.json`, with null values if nothing was pushed.
        parameters: The serving folder, and how many versions are kept there.
        context: Not used.

    Returns:
        `pushed_model` (the version's path) and `version`; both are None if nothing was pushed. `warning`, if the model
        was not pushed because it was rolled back.

    Raises:
        ComponentError: If the SavedModel is missing, or the serving folder cannot be written.
    """
    del context
    pushed: Pushed = {"path": None, "version": None, "digest": None}
    warning = {}
    blessed = all(blessing.is_blessed(inputs[key]) for key in ("blessing", "infra_blessing") if key in inputs)
    if blessed:
        model = inputs["model"] / saved_model.EXPORT
        try:
            pushed = versions.push(model, parameters.serving_dir, parameters.keep_versions)
        except versions.RolledBackError as error:
            warning = {"warning": str(error)}
            logging.getLogger(__name__).warning(str(error))
    PUSHED.write(outputs["pushed_model"], pushed)
    return {"pushed_model": pushed["path"], "version": pushed["version"], **warning}
