"""The epochs of a training that resumes exactly: their records, and the checkpoints within and after them."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from models.training.agreement import Agreement, SharedCheckpoint

if TYPE_CHECKING:
    from models.training.resumable import Training


class TrainingStopped(BaseException):
    """Training was requested to stop and can resume from its checkpoint. Not a failure, so it is no `Exception`."""


class ResumableEpochs(keras.callbacks.Callback):
    """Keeps the record of each epoch, and checkpoints from which training resumes exactly.

    Args:
        training: The training that it belongs to.
        folder: Folder of the snapshots: "latest", and "best" with the weights of the best epoch.

    Attributes:
        history: The records of the epochs that are complete.
        window: Steps done in the current epoch.
        train_seconds: Seconds of training in the current epoch, without validation and interruptions.
    """

    def __init__(self, training: "Training", folder: Path):
        super().__init__()
        self._training, self._agreement = training, Agreement(training.model.distribute_strategy)
        self._checkpoint = SharedCheckpoint(folder, self._agreement)
        self.history: list[dict] = []
        self.window, self.train_seconds = 0, 0.0
        self._metrics: list[np.ndarray] | None = None

    @property
    def tokens_per_second(self) -> float:
        """Training tokens a second in the current epoch."""
        recipe, lanes = self._training.recipe, self._training.lanes
        tokens = recipe.batch_size * min(self.window * recipe.sequence_length, lanes.lane_length)
        return tokens / max(self.train_seconds, 1e-9)

    def restore(self) -> None:
        """Restores weights, optimizer, state, metrics and history from the newest checkpoint, if there is one."""
        saved = self._checkpoint.load("latest")
        if saved is None or (saved["history"] and self._checkpoint.load("best") is None):
            return  # without the best epoch's weights the epochs must be trained again
        model = self._training.model
        for variable, value in zip(self._variables(), saved["variables"], strict=True):
            variable.assign(value)
        if saved["window"]:
            self._agreement.restore_lanes(model.carried_state, saved["state"])
        self.history, self.window, self.train_seconds = saved["history"], saved["window"], saved["train_seconds"]
        self._metrics = saved["metrics"] if self.window else None

    def load_best(self) -> None:
        """Gives the model the weights of the best epoch."""
        self._training.model.set_weights(self._checkpoint.load("best")["weights"])

    def on_epoch_begin(self, epoch, logs=None):
        """Restores the metrics of an interrupted epoch, and starts the clock.

        Args:
            epoch: Index of the epoch, from 0.
            logs: Ignored.
        """
        if self._metrics:
            for variable, value in zip(self._metric_variables(), self._metrics, strict=True):
                variable.assign(tf.constant(value, variable.dtype))  # a bare float64 would pass through float32
            self._metrics = None
        self._first = self.window
        self._started = self._saved = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Writes a checkpoint if one is due, or if training should stop.

        Args:
            batch: Index of the step in this call of `fit`, from 0.
            logs: Ignored.

        Raises:
            TrainingStopped: If training should stop, on any worker; after an epoch's last step the validation raises
                it.
            OSError: If the checkpoint cannot be written.
        """
        self.window = self._first + batch + 1
        now = time.monotonic()
        self.train_seconds += now - self._started
        self._started = now
        stop, due = self._agreement.any(self._training.should_stop(), self._is_due(now))
        if self.window < self._training.steps and (stop or due):
            self.save()
            self._saved = time.monotonic()
            if stop:
                raise TrainingStopped

    def on_test_batch_end(self, batch, logs=None):
        """Stops the validation if training should stop; the newest checkpoint is from before the validation.

        Args:
            batch: Ignored.
            logs: Ignored.

        Raises:
            TrainingStopped: If training should stop, on any worker.
        """
        [stop] = self._agreement.any(self._training.should_stop())
        if stop:
            raise TrainingStopped

    def on_epoch_end(self, epoch, logs=None):
        """Adds the epoch's record to the history, and writes the checkpoints.

        Args:
            epoch: Index of the epoch, from 0.
            logs: The epoch's metrics by name.

        Raises:
            OSError: If a checkpoint cannot be written.
        """
        record = {
            "epoch": epoch + 1,
            "train_perplexity": logs["perplexity"],
            "valid_perplexity": logs["val_perplexity"],
            "learning_rate": logs["learning_rate"],
            "cross_entropy": logs["loss"],
            **{name: logs[name] for name in ("augmented_loss", "gradient_norm", "clipped")},
            "tokens_per_second": self.tokens_per_second,
            "seconds": self.train_seconds + time.monotonic() - self._started,
        }
        self.history.append({key: _rounded(float(v)) if key != "epoch" else v for key, v in record.items()})
        if self._training.best_epoch == epoch + 1:
            self._checkpoint.save("best", weights=self._weights())
        self.window, self.train_seconds = 0, 0.0
        self.save()
        self.model.stop_training = self._training.finished

    def _is_due(self, now: float) -> bool:
        return now - self._saved > self._training.recipe.checkpoint_seconds

    def save(self) -> None:
        """Writes the checkpoint "latest"."""
        self._checkpoint.save(
            "latest",
            variables=[v.numpy() for v in self._variables()],
            metrics=[v.numpy() for v in self._metric_variables()],
            state=self._agreement.all_lanes(self._training.model.carried_state),
            history=self.history,
            window=self.window,
            train_seconds=self.train_seconds,
        )

    def _variables(self) -> list:
        """The variables of the model and its optimizer, whose number of steps decides the masks of dropout."""
        model = self._training.model
        return [v.value for v in (*model.weights, *model.optimizer.variables)]

    def _metric_variables(self) -> list:
        return [v.value for metric in self._training.model.metrics for v in metric.variables]

    def _weights(self) -> list[np.ndarray]:
        """The model's weights, averaged where the optimizer averages them."""
        model, averages = self._training.model, {}
        if model.optimizer.use_ema:
            trained = model.optimizer._trainable_variables
            averages = {id(v): a for v, a in zip(trained, model.optimizer._model_variables_moving_average, strict=True)}
        return [averages.get(id(v), v).numpy() for v in model.weights]


def _rounded(value: float) -> float:
    """Rounds to six decimals, or to six digits where a value, such as a learning rate, is small."""
    return round(value, 6) if abs(value) >= 1 else float(f"{value:.6g}")
