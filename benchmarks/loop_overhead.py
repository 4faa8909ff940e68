"""An epoch of the Trainer in turn with its bare compiled step: the cost of reading, metrics, checkpoints and the bar.

After every stretch of steps the compiled step alone runs on the same number of windows, which are already in memory.
The Trainer's clock is stopped meanwhile, so that its figures and its checkpoints do not count this time.
"""

import time
from collections.abc import Callable

import keras

from models.training import resumable, resumable_epochs

STRETCH = 20  # steps


class Clock:
    """A replacement of the module `time` for training, which does not count the seconds in which it was stopped.

    Attributes:
        stopped: Seconds in which it was stopped.
    """

    def __init__(self):
        self.stopped = 0.0

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back, without those in which it was stopped."""
        return time.monotonic() - self.stopped


class InTurn(keras.callbacks.Callback):
    """Times stretches of a training against its own step. It is the last callback, so it also counts the others.

    Args:
        clock: The clock of the training.

    Attributes:
        data: Windows for the bare step, to be set before training.
        stretches: (seconds of the training, seconds of the bare step) of each stretch.
        steps: Steps of all stretches.
        warming_up: Seconds of the first stretch, which is not in `stretches`.
    """

    def __init__(self, clock: Clock):
        super().__init__()
        self._clock = clock
        self.stretches: list[tuple[float, float]] = []
        self.steps, self.warming_up, self._iterator = 0, 0.0, None

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the first stretch."""
        self._started = self._clock.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """At the end of a stretch, times the same number of bare steps while the clock is stopped."""
        if (batch + 1) % STRETCH:
            return
        seconds, stopped = self._clock.monotonic() - self._started, time.monotonic()
        if self._iterator is None:  # the first stretch traces and compiles
            self._iterator = iter(self.model.distribute_strategy.experimental_distribute_dataset(self.data))
            self.warming_up = seconds
            self._bare()
        else:
            self.stretches.append((seconds, self._bare()))
            self.steps += STRETCH
        self._clock.stopped += time.monotonic() - stopped
        self._started = self._clock.monotonic()

    def _bare(self) -> float:
        started = time.monotonic()
        for _ in range(STRETCH):
            logs = self.model.train_function(self._iterator)
        float(logs["loss"])
        return time.monotonic() - started


class TimedTraining(resumable.Training):
    """Training with `InTurn` as its last callback, whose checkpoints are timed.

    Attributes:
        clock: The clock of the training.
        figures: What `run` measured.
    """

    clock = Clock()
    figures: dict

    def run(self):
        """Trains as `Training.run` does, and keeps the figures."""
        in_turn, saves = InTurn(self.clock), []
        in_turn.data = self._windows().take(STRETCH).cache().repeat()
        self.callbacks = [*self.callbacks, in_turn]
        save = self._resumable.save

        def timed_save():
            started = time.monotonic()
            save()
            saves.append(time.monotonic() - started)

        self._resumable.save = timed_save
        history = super().run()
        TimedTraining.figures = {
            "steps": in_turn.steps,
            "warming_up": in_turn.warming_up,
            "epoch": sum(by_training for by_training, _ in in_turn.stretches),
            "bare": sum(bare for _, bare in in_turn.stretches),
            "stretches": in_turn.stretches,
            "saves": saves,
            "checkpoint_seconds": self.recipe.checkpoint_seconds,
        }
        return history


def measure(train: Callable[[], object]) -> dict:
    """Measures one epoch of training.

    Args:
        train: A function that trains one epoch by `models.training.resumable`.

    Returns:
        `steps`, `warming_up`, `epoch`, `bare`, `stretches`, `saves` and `checkpoint_seconds`; times in seconds.
    """
    resumable_epochs.time, resumable.Training = TimedTraining.clock, TimedTraining
    train()
    return TimedTraining.figures
