"""What a training shows while it runs: a progress bar, a line an epoch, TensorBoard's logs and a history file."""

import contextlib
import shutil
import time
from collections.abc import Iterator

import keras
import rich.progress
import tensorflow as tf
from rich.console import Console

from components.artifacts.model_run import HISTORY
from components.base import Context

BAR_SECONDS = 1.0  # between two changes of the bar: to draw it takes time from the step


class Progress(keras.callbacks.Callback):
    """Shows each epoch of a `models.training.resumable.Training` as soon as it is complete.

    Args:
        context: Of the Trainer; its workspace holds the logs and, after every epoch, `history.json`.
        epochs: Of the training, at most.

    Attributes:
        logs: Folder of TensorBoard's logs.
    """

    def __init__(self, context: Context, epochs: int):
        super().__init__()
        self.logs = context.workspace / "logs"
        self._folder = context.workspace
        self._epochs = epochs
        console = Console(stderr=True)
        text = "epoch {task.fields[epoch]}  {task.fields[figures]}"
        columns = rich.progress.TextColumn(text), rich.progress.BarColumn(), rich.progress.TimeRemainingColumn()
        self._bar = rich.progress.Progress(
            *columns, console=console, transient=True, refresh_per_second=1 / BAR_SECONDS,
            disable=not (context.progress and console.is_terminal),
        )  # fmt: skip
        self._task = self._bar.add_task("", epoch=1, figures="")
        self._shown = 0.0

    @contextlib.contextmanager
    def of(self, training) -> Iterator[None]:
        """Shows a training while it runs. TensorBoard's logs begin with the epochs that it has done already."""
        self._training = training
        shutil.rmtree(self.logs, ignore_errors=True)
        self._writer = tf.summary.create_file_writer(str(self.logs))
        for record in training.history:
            self._log(record)
        with self._bar:
            yield
        self._writer.close()
        self._write_history()

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self._bar.disable or now - self._shown < BAR_SECONDS:
            return
        self._shown = now
        training = self._training
        figures = f"perplexity {logs['perplexity']:8.2f}  {training.tokens_per_second:7,.0f} tokens/s"
        epoch = len(training.history) + 1
        self._bar.update(self._task, completed=training.window, total=training.steps, epoch=epoch, figures=figures)

    def on_epoch_end(self, epoch, logs=None):
        record = self._training.history[-1]
        self._log(record)
        self._write_history()
        self._bar.console.print(
            "epoch {epoch:3}/{epochs}  training {train_perplexity:8.2f}  valid {valid_perplexity:8.2f}  "
            "rate {learning_rate:.3f}  {tokens_per_second:6,.0f} tokens/s".format(epochs=self._epochs, **record),
            highlight=False,
        )

    def _log(self, record: dict):
        with self._writer.as_default(step=record["epoch"]):
            for name, value in record.items():
                if name != "epoch":
                    tf.summary.scalar(name, value)
        self._writer.flush()

    def _write_history(self):
        training = self._training
        record = {"steps_per_epoch": training.steps, "best_epoch": training.best_epoch, "epochs": training.history}
        HISTORY.write(self._folder, record)
