"""Sends a run to MLflow. What MLflow already has is not sent twice, so that a part can be sent later."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, RunTag

from pipeline import exit_codes
from pipeline.config import tracking_options
from pipeline.runner.record import RunRecord
from pipeline.tracking import contents, registry

EXPERIMENT = "tied-language-model"
RUN_TAG = "tied_lm.run_id"
FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"  # MLflow's statuses
MAX_PARAMETERS = 100  # parameters in one request


class Publisher:
    """One run in MLflow, created if it does not exist yet.

    Args:
        uri: `tracking.mlflow_uri`.
        run_id: The run's id in this project.
        values: The resolved configuration, value by key.

    Attributes:
        mlflow_id: The run's id in MLflow.
    """

    def __init__(self, uri: str, run_id: str, values: Mapping[str, Any]):
        store = tracking_options.store_address(uri)
        if store.startswith("sqlite:///"):
            Path(store.removeprefix("sqlite:///")).absolute().parent.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(store)
        self._client = mlflow.MlflowClient(store)
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)
        self.mlflow_id = self._run({RUN_TAG: run_id}, run_id)
        self._known_epochs = self._steps(self.mlflow_id, "valid_perplexity")
        self._log_parameters(self.mlflow_id, contents.parameters(values))

    def log_epochs(self, history: Mapping[str, Any] | None) -> None:
        """Logs the epochs that have not been logged yet.

        Args:
            history: Contents of the Trainer's `history.json`, or None.
        """
        for epoch, figures in contents.epochs(history).items():
            if epoch not in self._known_epochs:
                self._log_metrics(self.mlflow_id, figures, epoch)
                self._known_epochs.add(epoch)

    def finish(self, run: RunRecord) -> None:
        """Logs everything about a run that has ended, and registers the model that it pushed.

        Args:
            run: The run's record.

        Raises:
            RegistryError: If the registered model's name belongs to another model; everything else has been sent then.
        """
        self.log_epochs(contents.history(run))
        known = self._client.get_run(self.mlflow_id).data.metrics
        self._log_metrics(self.mlflow_id, {k: v for k, v in contents.figures(run).items() if k not in known}, 0)
        self._set_tags(self.mlflow_id, contents.tags(run))
        for path in contents.files(run):
            self._client.log_artifact(self.mlflow_id, str(path))
        for name, chart in contents.plots(run).items():
            self._client.log_text(self.mlflow_id, chart, f"plots/{name}")
        for trial in contents.trials(run):
            self._log_trial(trial, run["run_id"])
        try:
            registry.register(self._client, self.mlflow_id, run)
        finally:
            self.end(FAILED if run["exit"] == exit_codes.FAILED else FINISHED)

    def end(self, status: str) -> None:
        """Records how the run ended.

        Args:
            status: FINISHED, FAILED or KILLED.
        """
        self._client.set_terminated(self.mlflow_id, status)

    def _log_trial(self, trial: Mapping[str, Any], run_id: str) -> None:
        name = f"trial {trial['trial']}"
        tags = {RUN_TAG: f"{run_id}/{trial['trial']}", "mlflow.parentRunId": self.mlflow_id}
        nested = self._run(tags, name)
        self._log_parameters(nested, contents.parameters(trial.get("values", {})))
        known = self._steps(nested, "valid_perplexity")
        for epoch, value in enumerate(trial["valid_perplexity"], start=1):
            if epoch not in known:
                self._log_metrics(nested, {"valid_perplexity": value}, epoch)
        self._set_tags(nested, {"status": trial["status"]})
        self._client.set_terminated(nested, FINISHED if trial["status"] == "completed" else FAILED)

    def _run(self, tags: Mapping[str, str], name: str) -> str:
        wanted = f"tags.`{RUN_TAG}` = '{tags[RUN_TAG]}'"
        runs = self._client.search_runs([self._experiment], wanted, max_results=1)
        run = runs[0] if runs else self._client.create_run(self._experiment, tags=dict(tags), run_name=name)
        return run.info.run_id

    def _steps(self, mlflow_id: str, name: str) -> set[int]:
        return {metric.step for metric in self._client.get_metric_history(mlflow_id, name)}

    def _log_parameters(self, mlflow_id: str, parameters: Mapping[str, str]) -> None:
        params = [Param(name, value) for name, value in parameters.items()]
        for start in range(0, len(params), MAX_PARAMETERS):
            self._client.log_batch(mlflow_id, params=params[start : start + MAX_PARAMETERS])

    def _log_metrics(self, mlflow_id: str, figures: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        self._client.log_batch(mlflow_id, metrics=[Metric(name, value, now, step) for name, value in figures.items()])

    def _set_tags(self, mlflow_id: str, tags: Mapping[str, str]) -> None:
        self._client.log_batch(mlflow_id, tags=[RunTag(name, value) for name, value in tags.items()])
