"""The training loop that Trainer and Tuner share: lanes in, the best epoch's weights out, resumable at any step.

Everything that a step does is a function of the weights, the carried state and the step's number: its window of text,
its dropout masks, its learning rate. So a checkpoint needs no iterator and no random generator, and a run that was
killed goes on exactly where its last checkpoint stood.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.checkpoint import Checkpoint
from models.distributed_step import make_step
from models.evaluation import perplexity
from models.language_model import LanguageModel
from models.recipe import Recipe
from models.token_stream import Lanes, TokenStream

METRICS_EVERY = 20  # steps between looks at the losses: each look waits for the device


class TrainingDiverged(Exception):
    """The loss is not finite: no further step can mend it."""


class TrainingStopped(BaseException):
    """Training was asked to stop; it continues from its checkpoint. No failure, so no `Exception`."""


def windows(lanes: Lanes, sequence_length: int, first: int = 0) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """The windows of an epoch from window `first` on, in order: (inputs, targets), int32 [batch_size, time] each.

    Read as they are needed, a seventh of a millisecond each: a `tf.data` pipeline took a whole one from the step.
    """
    for i in range(first, lanes.num_windows(sequence_length)):
        inputs, targets = lanes.window(i * sequence_length, sequence_length)
        yield tf.constant(inputs), tf.constant(targets)


class Training:
    """A training run of one model: `run` trains from its last checkpoint (or the start) to its end.

    Args:
        model: Created under `strategy.scope()`; holds the best epoch's weights when `run` returns.
        strategy: Where it trains; the batch must divide among its replicas.
        train, valid: The splits' tokens.
        recipe: How.
        folder: For checkpoints.
        on_epoch: Called with each epoch's record (see `history`) as soon as it is complete.
        on_step: Called with (epoch, steps done in it, steps of it, train perplexity so far, tokens/s).
        should_stop: Asked after every step; where it is true, `run` writes a checkpoint and raises `TrainingStopped`.

    Attributes:
        history: dicts of `epoch` (from 1), `train_perplexity` (with dropout), `valid_perplexity`, `learning_rate`,
            `cross_entropy` and `augmented_loss` (nats a token), `gradient_norm` (mean before clipping), `clipped`
            (share of steps), `tokens_per_second` (training alone) and `seconds` (validation included).
        best_epoch: The epoch (from 1) with the lowest valid perplexity.
        left_over: Training tokens that are in no lane.

    Raises:
        ValueError: If there are fewer training tokens than one window of every lane, or the batch does not divide.
    """

    def __init__(
        self,
        model: LanguageModel,
        strategy: tf.distribute.Strategy,
        train: TokenStream,
        valid: TokenStream,
        recipe: Recipe,
        folder: Path,
        on_epoch: Callable[[dict], None] = lambda record: None,
        on_step: Callable[[int, int, int, float, float], None] = lambda *_: None,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        if recipe.batch_size % strategy.num_replicas_in_sync:
            raise ValueError(
                f"trainer.batch_size is {recipe.batch_size}, which does not divide among "
                f"{strategy.num_replicas_in_sync} replicas."
            )
        needed = recipe.batch_size * recipe.sequence_length
        if len(train) < needed:
            raise ValueError(
                f"The train split has {len(train):,} tokens, fewer than one window of every lane: trainer.batch_size "
                f"{recipe.batch_size} x trainer.sequence_length {recipe.sequence_length} = {needed:,}. Use more text, "
                "a smaller batch or shorter windows."
            )
        self.model, self.strategy, self.valid, self.recipe = model, strategy, valid, recipe
        self.lanes = Lanes(train, recipe.batch_size)
        self.left_over = self.lanes.left_over
        self.steps = self.lanes.num_windows(recipe.sequence_length)
        self.checkpoint = Checkpoint(folder)
        self.on_epoch, self.on_step, self.should_stop = on_epoch, on_step, should_stop
        self._step = make_step(model, strategy, recipe)
        self.history: list[dict] = []
        self._start()
        self._resume()

    @property
    def best_epoch(self) -> int | None:
        return min(self.history, key=lambda r: r["valid_perplexity"])["epoch"] if self.history else None

    def run(self) -> list[dict]:
        """Trains to the end, loads the best epoch's weights into the model and returns the history."""
        while len(self.history) < self.recipe.epochs and not self._out_of_patience():
            self._epoch(len(self.history) + 1)
        self._assign(self.checkpoint.load("best")["weights"])
        return self.history

    def _start(self):
        """The beginning of an epoch: zero state, nothing counted."""
        self.window = 0
        self.state = self.model.zero_state(self.recipe.batch_size)
        self.sums = np.zeros(4)  # cross-entropy, augmented loss, gradient norm, clipped steps
        self.train_seconds = 0.0

    def _resume(self):
        saved = self.checkpoint.load("latest")
        if saved is None or (saved["history"] and self.checkpoint.load("best") is None):
            return  # without the best epoch's weights the epochs have to be trained again
        self._assign(saved["weights"])
        self.state, self.sums = tf.constant(saved["state"]), saved["sums"]
        self.history, self.window = saved["history"], saved["window"]
        self.train_seconds = saved["train_seconds"]
        logging.info("Going on from the checkpoint at epoch %d, step %d.", len(self.history) + 1, self.window)

    def _save(self, name: str = "latest"):
        weights = [v.numpy() for v in self.model.weights]
        if name == "best":
            self.checkpoint.save(name, weights=weights)
            return
        progress = {key: getattr(self, key) for key in "sums history window train_seconds".split()}
        self.checkpoint.save(name, weights=weights, state=self.state.numpy(), **progress)

    def _assign(self, weights):
        for variable, value in zip(self.model.weights, weights, strict=True):
            variable.assign(value)

    def _epoch(self, epoch: int):
        started = saved = time.monotonic()
        pending = []
        for inputs, targets in windows(self.lanes, self.recipe.sequence_length, self.window):
            step = (epoch - 1) * self.steps + self.window
            self.state, metrics = self._step(inputs, targets, self.state, tf.constant(step), self._scalars(step))
            pending.append(metrics)
            self.window += 1
            stop = self.should_stop()
            if len(pending) == METRICS_EVERY or self.window == self.steps or stop:
                self._count(pending, step)
                pending.clear()
                now = time.monotonic()
                self.train_seconds += now - started
                started = now
                self.on_step(epoch, self.window, self.steps, self._train_perplexity(), self._tokens_per_second())
                if stop or now - saved > self.recipe.checkpoint_seconds and self.window < self.steps:
                    self._save()
                    saved = time.monotonic()
                if stop:
                    raise TrainingStopped
        self._end_epoch(epoch, started)

    def _scalars(self, step: int) -> dict[str, tf.Tensor]:
        """What the schedules say of a step, counted from 0 over all epochs."""
        recipe, epoch = self.recipe, step // self.steps + 1

        def at(schedule, constant):
            return schedule.at(step, self.steps) if schedule else constant

        if self.model.target == "average":
            target_rate = 1.0 - recipe.target_decay
        else:
            target_rate = 1.0 if (step + 1) % recipe.target_interval == 0 else 0.0
        values = {
            "learning_rate": recipe.learning_rate_of(epoch),
            "temperature": at(recipe.temperature, self.model.temperature),
            "gamma": at(recipe.gamma, self.model.gamma),
            "embedding_rate": float(epoch > recipe.freeze_embedding_epochs),
            "target_rate": target_rate,
        }
        return {key: tf.constant(value, tf.float32) for key, value in values.items()}

    def _count(self, pending: list[tf.Tensor], last_step: int):
        values = np.array([m.numpy() for m in pending], np.float64)
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise TrainingDiverged(
                f"Trainer: the {['cross-entropy', 'augmented loss', 'norm of the gradient'][column]} of step "
                f"{last_step - len(values) + 2 + row:,} is {values[row, column]}. Likely causes: trainer.learning_rate "
                f"{self.recipe.learning_rate} or trainer.clip_norm {self.recipe.clip_norm} too large, or "
                "loss.temperature too small. Change them and run again."
            )
        for row in values:  # one by one, so that the sums do not depend on where training was stopped
            self.sums += [*row, row[2] > self.recipe.clip_norm]

    def _tokens(self) -> int:
        return self.recipe.batch_size * min(self.window * self.recipe.sequence_length, self.lanes.lane_length)

    def _train_perplexity(self) -> float:
        return math.exp(min(self.sums[0] / self._tokens(), 700.0))

    def _tokens_per_second(self) -> float:
        return self._tokens() / max(self.train_seconds, 1e-9)

    def _end_epoch(self, epoch: int, validation_started: float):
        tokens = self._tokens()
        record = {
            "epoch": epoch,
            "train_perplexity": self._train_perplexity(),
            "valid_perplexity": perplexity(self.model, self.valid),
            "learning_rate": self.recipe.learning_rate_of(epoch),
            "cross_entropy": self.sums[0] / tokens,
            "augmented_loss": self.sums[1] / tokens,
            "gradient_norm": self.sums[2] / self.steps,
            "clipped": self.sums[3] / self.steps,
            "tokens_per_second": self._tokens_per_second(),
            "seconds": self.train_seconds + time.monotonic() - validation_started,
        }
        self.history.append({key: round(float(v), 6) if key != "epoch" else v for key, v in record.items()})
        if self.best_epoch == epoch:
            self._save("best")
        self._start()
        self._save()
        self.on_epoch(self.history[-1])

    def _out_of_patience(self) -> bool:
        patience = self.recipe.patience
        return patience is not None and bool(self.history) and len(self.history) - self.best_epoch >= patience
