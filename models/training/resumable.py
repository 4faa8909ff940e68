"""A training by `LanguageModel.fit` that resumes exactly where it was interrupted, for the Trainer and the Tuner.

Everything that a step does is a function of the weights, the carried state and the step's number: its window of text,
its dropout masks, its learning rate. A checkpoint holds those and the metrics, so that interrupted training resumes bit
for bit, even in the middle of an epoch.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from models.fitting.target_embedding import TargetEmbedding
from models.language_model import LanguageModel
from models.settings import Recipe
from models.text.checks import check_lanes
from models.text.token_stream import Lanes, TokenStream
from models.text.windows import windows
from models.training.callbacks import (
    AugmentedLossSchedule,
    AverageWeights,
    FreezeEmbedding,
    StopWhenDiverged,
)
from models.training.optimizers import make_optimizer
from models.training.resumable_epochs import ResumableEpochs
from models.training.schedules import schedules

EVALUATION_WINDOW = 1000  # tokens of the eval split that are read at once


def compile_model(model: LanguageModel, recipe: Recipe) -> None:
    """Compiles a model with the optimizer of a recipe.

    Args:
        model: The model, which is changed.
        recipe: The recipe: its optimizer with all its options, learning rate and clip.
    """
    ema = recipe.ema if recipe.average_patience is None else 1.0  # `AverageWeights` changes the averages itself
    with model.distribute_strategy.scope():
        model.compile(make_optimizer(recipe.optimizer, recipe.learning_rate, recipe.clip_norm, ema,
                                     **recipe.optimizer_options))  # fmt: skip


def evaluation_windows(stream: TokenStream):
    """Makes windows of a split in one lane: each token is predicted once, the first from `<eos>`.

    Args:
        stream: The split's tokens, at least one.

    Returns:
        A data set of `models.windows`.
    """
    return windows(stream, batch_size=1, sequence_length=max(1, min(EVALUATION_WINDOW, len(stream))))


class Training:
    """A training run of one model: `run` trains from its last checkpoint (or the start) to its end.

    Args:
        model: Compiled by `compile_model`; holds the best epoch's weights when `run` returns.
        train, valid: The tokens of the splits to train on and to validate on.
        recipe: All settings of the training.
        folder: Folder of the checkpoints, which is made if it is missing.
        callbacks: Further Keras callbacks. In `on_epoch_end` the epoch's record is the last of `history`.
        should_stop: Called after every step. If it returns true, on any worker, `run` writes a checkpoint and raises
            `TrainingStopped`. From an epoch's last step to the end of its validation nothing is written: the newest
            checkpoint is the one before.

    Attributes:
        history: dicts of `epoch` (from 1), `train_perplexity` (with dropout), `valid_perplexity`, `learning_rate`,
            `cross_entropy` and `augmented_loss` (nats a token), `gradient_norm` (mean before clipping), `clipped`
            (share of steps), `tokens_per_second` (training alone) and `seconds` (validation included).
        best_epoch: The epoch (from 1) with the lowest valid perplexity.
        lanes: How the training tokens are cut into lanes.
        steps: Steps of an epoch.
        left_over: Training tokens that are in no lane.

    Raises:
        ValueError: If there are fewer training tokens than one window of every lane, or the batch does not divide among
            the replicas.
    """

    def __init__(
        self,
        model: LanguageModel,
        train: TokenStream,
        valid: TokenStream,
        recipe: Recipe,
        folder: Path,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ):
        self.model, self.train, self.valid, self.recipe = model, train, valid, recipe
        self.callbacks, self.should_stop = callbacks, should_stop
        check_lanes("train", self._windows(), model.distribute_strategy.num_replicas_in_sync)
        self.lanes = Lanes(train, recipe.batch_size)
        self.steps, self.left_over = self.lanes.num_windows(recipe.sequence_length), self.lanes.left_over
        self._resumable = ResumableEpochs(self, folder)
        self._resumable.restore()
        if (self.window or self.history) and not self.finished:
            logging.info("Resuming from the checkpoint at epoch %d, step %d.", len(self.history) + 1, self.window)

    @property
    def history(self) -> list[dict]:
        """The records of the epochs that are complete."""
        return self._resumable.history

    @property
    def window(self) -> int:
        """Steps done in the current epoch."""
        return self._resumable.window

    @property
    def tokens_per_second(self) -> float:
        """Training tokens a second in the current epoch."""
        return self._resumable.tokens_per_second

    @property
    def best_epoch(self) -> int | None:
        """The epoch (from 1) with the lowest valid perplexity; None before the end of the first."""
        return min(self.history, key=lambda r: r["valid_perplexity"])["epoch"] if self.history else None

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained, or patience has ended."""
        patience = self.recipe.patience
        impatient = patience is not None and self.history and len(self.history) - self.best_epoch >= patience
        return len(self.history) >= self.recipe.epochs or bool(impatient)

    def run(self) -> list[dict]:
        """Trains to the end and loads the best epoch's weights into the model.

        Returns:
            The history, a record for each epoch.

        Raises:
            TrainingStopped: If `should_stop` returned true; the next run resumes from the checkpoint.
            TrainingDiverged: If a figure is not finite, or the model is far worse than a uniform one.
        """
        while not self.finished:
            first = len(self.history)
            # The rest of an interrupted epoch is another data set than a whole epoch, so it needs a separate `fit`.
            last = first + 1 if self.window else self.recipe.epochs
            self.model.fit(
                self._windows(self.window),
                validation_data=evaluation_windows(self.valid),
                initial_epoch=first,
                epochs=last,
                verbose=0,
                callbacks=self._callbacks(),
            )
            # With averaged weights `fit` leaves the average in the model; the checkpoint has the weights themselves.
            self._resumable.restore()
        self._resumable.load_best()
        return self.history

    def _windows(self, start: int = 0):
        return windows(self.train, self.recipe.batch_size, self.recipe.sequence_length, start)

    def _callbacks(self) -> list[keras.callbacks.Callback]:
        """All callbacks of the training, in the order in which Keras calls them."""
        recipe, model = self.recipe, self.model
        callbacks = [keras.callbacks.LearningRateScheduler(lambda epoch: recipe.learning_rate_of(epoch + 1))]
        if recipe.freeze_embedding_epochs:
            callbacks.append(FreezeEmbedding(recipe.freeze_embedding_epochs))
        if ramps := schedules(recipe):
            callbacks.append(AugmentedLossSchedule(ramps.get("temperature"), ramps.get("gamma"), self.steps))
        callbacks.append(StopWhenDiverged())
        if model.target_table is not None:
            callbacks.append(TargetEmbedding(recipe.target_interval, recipe.target_decay))
        if recipe.average_patience is not None:
            callbacks.append(AverageWeights(recipe.average_patience, self.history, self.steps))
        if model.optimizer.use_ema:
            callbacks.append(keras.callbacks.SwapEMAWeights())
        return [*callbacks, self._resumable, *self.callbacks]
