"""An epoch of the Trainer in turn with its bare compiled step: what reading, metrics, checkpoints and the bar cost.

After every stretch of steps the compiled step alone runs as many windows that are in memory already. The Trainer's own
clock stands still meanwhile, so that its figures and its checkpoints do not count it.
"""

import time
from collections.abc import Callable

import keras

from models.training import resumable

STRETCH = 20  # steps


class Clock:
    """What training takes for the module `time`: seconds in which it was stopped do not count."""

    def __init__(self):
        self.stopped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() - self.stopped


class InTurn(keras.callbacks.Callback):
    """Times stretches of a training against its own step. It comes last, so it counts the other callbacks, too."""

    def __init__(self, clock: Clock):
        super().__init__()
        self._clock = clock
        self.stretches: list[tuple[float, float]] = []
        self.steps, self.warming_up, self._iterator = 0, 0.0, None

    def on_epoch_begin(self, epoch, logs=None):
        self._started = self._clock.monotonic()

    def on_train_batch_end(self, batch, logs=None):
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
    """Training with `InTurn` behind its callbacks, whose checkpoints are timed."""

    clock = Clock()
    figures: dict

    def run(self):
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
    """Calls `train`, which trains one epoch by `models.training.resumable`, and returns what was measured in it."""
    resumable.time, resumable.Training = TimedTraining.clock, TimedTraining
    train()
    return TimedTraining.figures
