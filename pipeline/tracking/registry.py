"""Registers each pushed version in MLflow; the alias `champion` is the newest one in the serving folder.

A version is known by its number and the model's digest, since the numbers start again in a serving folder that was
removed with its record of pushes.
"""

import importlib.metadata
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from components.evaluator.baseline import digest
from components.pusher.versions import list_versions
from pipeline.errors import RunnerError
from pipeline.runner.record import RunRecord, pushed_version
from pipeline.tracking import contents

ALIAS = "champion"
FOLDER_TAG, RUN_TAG = "tied_lm.serving_dir", "tied_lm.run_id"
VERSION_TAG, DIGEST_TAG = "tied_lm.version", "tied_lm.digest"
CODE = Path(__file__).with_name("served_text.py")
EXAMPLE = pd.DataFrame({"text": ["The value of the"]})
PARAMETERS = [
    ParamSpec("task", DataType.string, "next_words"),
    ParamSpec("max_words", DataType.long, 20),
    ParamSpec("temperature", DataType.double, 1.0),
    ParamSpec("top_k", DataType.long, 0),
    ParamSpec("top_p", DataType.double, 1.0),
    ParamSpec("seed", DataType.long, 0),
]
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "text")]),
    outputs=Schema([ColSpec(Array(DataType.string), "words"), ColSpec(Array(DataType.double), "probabilities")]),
    params=ParamSchema(PARAMETERS),
)


class RegistryError(RunnerError):
    """The model cannot be registered under this name: the message says why and what to do."""


def register(client: mlflow.MlflowClient, mlflow_id: str, run: RunRecord) -> None:
    """Registers the version that a run pushed, if it is not registered yet, and sets the alias.

    A version that has been removed from the serving folder since is not registered. The alias stays where it is if the
    newest version in the folder is not registered.

    Args:
        client: MLflow's client.
        mlflow_id: The run's id in MLflow.
        run: The run's record; nothing happens if it pushed no model.

    Raises:
        RegistryError: If the name is in use by another model; nothing has changed then.
        ComponentError: If a version in the serving folder cannot be read.
    """
    path = run["summary"]["pushed_model"]
    number = pushed_version(run)
    if path is None or number is None:
        return
    name = run["configuration"].get("tracking.registered_model", "tied-language-model")
    serving_dir = Path(path).parent
    _claim(client, name, str(serving_dir))
    versions = list_versions(serving_dir)
    present = {version: digest(serving_dir / str(version)) for version in {number, *versions[-1:]} & {*versions}}
    registered = _registered(client, name)
    model = contents.pushed_digest(run) or present.get(number)  # a rollback that was not recorded has no digest
    if model and present.get(number) == model and (number, model) not in registered:
        tags = {VERSION_TAG: str(number), DIGEST_TAG: model, RUN_TAG: run["run_id"]}
        mlflow.register_model(_log(mlflow_id, path), name, tags=tags)
        registered = _registered(client, name)
    newest = max(present.items(), default=None)
    if newest in registered:
        client.set_registered_model_alias(name, ALIAS, registered[newest])


def _registered(client: mlflow.MlflowClient, name: str) -> dict[tuple[int, str], str]:
    """Returns MLflow's version by number in the serving folder and digest."""
    return {
        (int(known.tags[VERSION_TAG]), known.tags.get(DIGEST_TAG, "")): known.version
        for known in client.search_model_versions(f"name='{name}'")
        if known.tags.get(VERSION_TAG, "").isdecimal()
    }


def _claim(client: mlflow.MlflowClient, name: str, serving_dir: str) -> None:
    """Creates the registered model, or checks that the one of this name belongs to the same serving folder."""
    try:
        owner_folder = client.get_registered_model(name).tags.get(FOLDER_TAG)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name, {FOLDER_TAG: serving_dir})
        return
    if owner_folder != serving_dir:
        owner = f"the versions in {owner_folder}" if owner_folder else "a model that is not of this project"
        raise RegistryError(
            f"the registered model {name!r} belongs to {owner}, not to {serving_dir}; nothing was added to it. Choose "
            "another name: --set tracking.registered_model=NAME."
        )


def _log(mlflow_id: str, path: str) -> str:
    """Logs the SavedModel with the code that calls it; returns the logged model's address."""
    requirements = [f"{name}=={importlib.metadata.version(name)}" for name in ("tensorflow", "tensorflow-text")]
    with mlflow.start_run(run_id=mlflow_id):
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(CODE),
            artifacts={"saved_model": path},
            signature=SIGNATURE,
            input_example=(EXAMPLE, {"task": "next_words"}),
            pip_requirements=requirements,
        ).model_uri
