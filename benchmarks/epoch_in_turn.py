"""An epoch of training in turn with its bare compiled step: what reading, metrics, checkpoints and the bar cost.

After every stretch of steps at whose end training looks at its losses, the compiled step alone runs the same windows
again. Training's own clock stands still meanwhile, so that its figures and its checkpoints know nothing of it.
"""

import time
from collections.abc import Callable

import tensorflow as tf

from models import training

WARM_UP = 10  # steps


class Clock:
    """What training takes for the module `time`: seconds in which it was stopped do not count."""

    def __init__(self):
        self.stopped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() - self.stopped


class InTurn(training.Training):
    """Training that is timed against its own step; `figures` has what was measured once it has run."""

    clock = Clock()
    figures: dict

    def run(self):
        self._report, self.on_step = self.on_step, self._after_stretch
        self._stretches, self._saves, self._done = [], [], 0
        # The first steps are slower, and the last window may have a shape of its own.
        warming_up = self._bare(0, WARM_UP) + self._bare(self.steps - 1, self.steps)
        started = self._mark = self.clock.monotonic()
        history = super().run()
        seconds = self.clock.monotonic() - started
        [epoch] = history
        training_alone = self.recipe.batch_size * self.lanes.lane_length / epoch["tokens_per_second"]
        InTurn.figures = {
            "steps": self.steps,
            "warming_up": warming_up,
            "epoch": seconds - (epoch["seconds"] - training_alone),  # validation apart
            "bare": sum(bare for _, bare in self._stretches),
            "stretches": self._stretches,
            "saves": self._saves,
            "checkpoint_seconds": self.recipe.checkpoint_seconds,
        }
        return history

    def _after_stretch(self, epoch, done, *figures):
        self._report(epoch, done, *figures)
        seconds = self.clock.monotonic() - self._mark
        progress = self._report.__self__.progress
        stopped = time.monotonic()
        progress.stop()  # it is drawn by a thread of its own
        self._stretches.append((seconds, self._bare(self._done, done)))
        progress.start()
        self.clock.stopped += time.monotonic() - stopped
        self._done, self._mark = done, self.clock.monotonic()

    def _bare(self, first: int, last: int) -> float:
        """Seconds that the compiled step takes for the windows `first` to `last` - 1."""
        length = self.recipe.sequence_length
        windows = [[tf.constant(x) for x in self.lanes.window(i * length, length)] for i in range(first, last)]
        steps, scalars = [tf.constant(i) for i in range(first, last)], self._scalars(first)
        state = self.model.zero_state(self.recipe.batch_size)
        started = time.monotonic()
        for (inputs, targets), step in zip(windows, steps, strict=True):
            state, metrics = self._step(inputs, targets, state, step, scalars)
        metrics.numpy()
        return time.monotonic() - started

    def _save(self, name="latest"):
        started = time.monotonic()
        super()._save(name)
        self._saves.append(time.monotonic() - started)


def measure(train: Callable[[], object]) -> dict:
    """Calls `train`, which trains one epoch by `models.training`, and returns what was measured in it."""
    training.time, training.Training = InTurn.clock, InTurn
    train()
    return InTurn.figures
