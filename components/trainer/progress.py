"""Shows a training while it runs: a progress bar, a line for each epoch, TensorBoard's logs and a history file."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import rich.progress
import tensorflow as tf

from components.artifacts.model_run import HISTORY
from components.base import Context
from components.terminal import can_redraw, make_console

BAR_SECONDS = 1.0  # time between two updates of the bar, because drawing it delays the step
FIRST_LINE_SECONDS, LINE_SECONDS = 30.0, 600.0  # without a bar: time until the first line, and between later lines


class TrainingProgress(keras.callbacks.Callback):
    """Shows each epoch of a `models.training.resumable.Training` as soon as it is complete.

    Args:
        context: The Trainer's context. Its workspace receives the logs and, after every epoch, `history.json`.
        epochs: Largest number of epochs of the training.

    Attributes:
        logs: Folder of TensorBoard's logs.
    """

    def __init__(self, context: Context, epochs: int):
        super().__init__()
        self.logs = context.workspace / "logs"
        self._folder = context.workspace
        self._epochs = epochs
        console = make_console(soft_wrap=True, quiet=context.quiet)
        columns = rich.progress.TextColumn("{task.fields[text]}"), rich.progress.BarColumn(20)
        self._bar = rich.progress.Progress(
            *columns, console=console, transient=True, refresh_per_second=1 / BAR_SECONDS,
            disable=not (context.progress and can_redraw(console)),
        )  # fmt: skip
        self._task = self._bar.add_task("", text="")
        self._began: tuple[float, int] | None = None  # when the first step was done, and the number of steps by then
        self._shown = 0.0

    @contextlib.contextmanager
    def of(self, training) -> Iterator[None]:
        """Shows a training while the block runs. TensorBoard's logs start with the epochs that were completed before.

        Args:
            training: The `models.training.resumable.Training`.
        """
        self._training = training
        shutil.rmtree(self.logs, ignore_errors=True)
        self._writer = tf.summary.create_file_writer(str(self.logs))
        for record in training.history:
            self._log(record)
        with self._bar:
            yield
        self._writer.close()
        self.write_history(self._folder)

    def on_train_batch_end(self, batch, logs=None):
        """Updates the bar, or prints a line from time to time if there is no bar.

        Args:
            batch: The step in the epoch.
            logs: `perplexity` is the epoch's training perplexity so far.
        """
        now = time.monotonic()
        if self._began is None:  # the first step compiles, so its time is not typical
            self._began = now, self._steps_done
            self._shown = now + FIRST_LINE_SECONDS - LINE_SECONDS
        if now - self._shown < (LINE_SECONDS if self._bar.disable else BAR_SECONDS):
            return
        self._shown = now
        training = self._training
        place = f"epoch {len(training.history) + 1:3}/{self._epochs}"
        if self._bar.disable:
            place += f" {training.window / training.steps:4.0%}"
        text = f"{place}  training {logs['perplexity']:8.2f}  {self._speed(training.tokens_per_second)}"
        if self._bar.disable:
            self._bar.console.print(text)
        else:
            self._bar.update(self._task, completed=self._steps_done, total=self._epochs * training.steps, text=text)

    def on_epoch_end(self, epoch, logs=None):
        """Logs the epoch's record, writes `history.json` and prints a line.

        Args:
            epoch: Not used; the training's history has the record.
            logs: Not used.
        """
        record = self._training.history[-1]
        self._log(record)
        self.write_history(self._folder)
        self._bar.console.print(
            f"epoch {record['epoch']:3}/{self._epochs}  training {record['train_perplexity']:8.2f}  "
            f"valid {record['valid_perplexity']:8.2f}  {self._speed(record['tokens_per_second'])}"
        )

    @property
    def _steps_done(self) -> int:
        return len(self._training.history) * self._training.steps + self._training.window

    def _speed(self, tokens_per_second: float) -> str:
        """Tokens per second and, before the end, the remaining time at the speed of this process."""
        speed = f"{tokens_per_second:6,.0f} tokens/s"
        if self._began is None or self._training.finished:
            return speed
        since, first = self._began
        done, left = self._steps_done - first, self._epochs * self._training.steps - self._steps_done
        return f"{speed}  {time_left((time.monotonic() - since) * left / done)}" if done else speed

    def _log(self, record: dict):
        with self._writer.as_default(step=record["epoch"]):
            for name, value in record.items():
                if name != "epoch":
                    tf.summary.scalar(name, value)
        self._writer.flush()

    def write_history(self, folder: Path) -> None:
        """Writes `history.json`, the epochs so far, into a folder.

        Args:
            folder: The folder.
        """
        training = self._training
        record = {"steps_per_epoch": training.steps, "best_epoch": training.best_epoch, "epochs": training.history}
        HISTORY.write(folder, record)


def time_left(seconds: float) -> str:
    """Formats a remaining time, such as `12 min left`, only as precisely as an estimate is.

    Args:
        seconds: The remaining time in seconds.
    """
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under 1 min left"
    if minutes < 60:
        return f"{minutes} min left"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min left" if hours < 48 else f"{hours // 24} days {hours % 24} h left"
