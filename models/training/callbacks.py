"""Keras callbacks of a training: what changes from step to step or epoch to epoch, and when training stops."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from models.training.schedules import Schedule

# Cross-entropy of an evaluation, as a multiple of a uniform model's, beyond which no training recovers.
LARGEST_LOSS = 2.0


class TrainingDiverged(Exception):
    """Training cannot recover: a figure is not finite, or the model is far worse than a uniform one."""


class StopWhenDiverged(keras.callbacks.Callback):
    """Raises `TrainingDiverged` after the step, or the epoch, that diverged."""

    NAMES = {"loss": "cross-entropy", "augmented_loss": "augmented loss", "gradient_norm": "norm of the gradient"}

    def on_train_batch_end(self, batch, logs=None):
        """Checks the figures of the step.

        Args:
            batch: Ignored.
            logs: The metrics by name, since the beginning of the epoch.

        Raises:
            TrainingDiverged: If a figure is not finite.
        """
        for key, name in self.NAMES.items():
            if not math.isfinite(logs[key]):
                step = self.model.steps_done
                raise TrainingDiverged(f"Training diverged: the {name} of step {step:,} is {logs[key]}.")

    def on_epoch_end(self, epoch, logs=None):
        """Checks the evaluation after the epoch.

        Args:
            epoch: Index of the epoch, from 0.
            logs: The epoch's metrics by name.

        Raises:
            TrainingDiverged: If the evaluation is far worse than that of a uniform model, or not finite.
        """
        loss = logs.get("val_loss", 0.0)
        if not loss <= LARGEST_LOSS * math.log(self.model.vocabulary_size):
            raise TrainingDiverged(
                f"Training diverged: the loss on the validation data after epoch {epoch + 1} is {loss:.4g} nats a "
                f"token, {loss / math.log(self.model.vocabulary_size):.1f} times that of a uniform model. Try a lower "
                "learning rate."
            )


class AugmentedLossSchedule(keras.callbacks.Callback):
    """Changes τ and γ of the augmented loss from step to step.

    Args:
        temperature, gamma: The schedules of τ and γ, or None for a constant.
        steps_per_epoch: Steps of an epoch, for schedules whose unit is epochs.
    """

    def __init__(self, temperature: Schedule | None, gamma: Schedule | None, steps_per_epoch: int):
        super().__init__()
        self._schedules = {"temperature": temperature, "gamma": gamma}
        self._steps_per_epoch = steps_per_epoch

    def on_train_batch_begin(self, batch, logs=None):
        """Gives the model the values for the next step.

        Args:
            batch: Ignored: `steps_done` of the model counts the steps.
            logs: Ignored.
        """
        step = self.model.steps_done
        values = {name: s.at(step, self._steps_per_epoch) for name, s in self._schedules.items() if s}
        self.model.set_loss_weights(**values)


class AverageWeights(keras.callbacks.Callback):
    """Averages the weights of all steps after the valid perplexity has stopped falling (NT-ASGD).

    The averages are the optimizer's, for `keras.callbacks.SwapEMAWeights`. The optimizer is made with `ema_momentum` 1,
    so that only this callback changes them. Before averaging starts they are the weights themselves.

    Args:
        patience: Averaging starts after the first epoch whose valid perplexity is higher than the lowest of those that
            ended more than `patience` epochs before it (`nonmono` in the publication's code).
        history: The records of the epochs that are complete. It grows during training.
        steps_per_epoch: Steps of an epoch.

    References:
        Merity et al., "Regularizing and Optimizing LSTM Language Models" (arXiv 1708.02182), section 3.
    """

    def __init__(self, patience: int, history: Sequence[Mapping[str, Any]], steps_per_epoch: int):
        super().__init__()
        self._patience, self._history, self._steps_per_epoch = patience, history, steps_per_epoch

    def on_train_batch_end(self, batch, logs=None):
        """Adds the weights after the step to the averages.

        Args:
            batch: Ignored: `steps_done` of the model counts the steps.
            logs: Ignored.
        """
        epochs = self.epochs_before_averaging([record["valid_perplexity"] for record in self._history], self._patience)
        count = 1 if epochs is None else self.model.steps_done - epochs * self._steps_per_epoch
        optimizer = self.model.optimizer
        variables = zip(optimizer._model_variables_moving_average, optimizer._trainable_variables, strict=True)
        for average, weight in ((average.value, weight.value) for average, weight in variables):
            average.assign(weight if count == 1 else average + (weight - average) / count)

    @staticmethod
    def epochs_before_averaging(perplexities: Sequence[float], patience: int) -> int | None:
        """Finds the epoch after which averaging starts.

        Args:
            perplexities: Valid perplexity of each epoch so far.
            patience: As for the class.

        Returns:
            The number of epochs that are not averaged, or None if averaging has not started.
        """
        for epoch in range(patience + 1, len(perplexities)):
            if perplexities[epoch] > min(perplexities[: epoch - patience]):
                return epoch + 1
        return None


class FreezeEmbedding(keras.callbacks.Callback):
    """Does not train the embedding in the first epochs.

    Args:
        epochs: How many epochs. A resumed training counts them from its start, not from where it resumes.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self._epochs = epochs
        self._traced = True  # whether the embedding is trained by the function of a step that Keras has

    def on_epoch_begin(self, epoch, logs=None):
        """Freezes the embedding, or trains it from this epoch on.

        Args:
            epoch: Index of the epoch, from 0.
            logs: Ignored.
        """
        self.model.embedding.trainable = epoch >= self._epochs
        if self._traced != self.model.embedding.trainable:
            self.model.make_train_function(force=True)  # the old one was traced for other trainable weights
            self._traced = self.model.embedding.trainable

    def on_epoch_end(self, epoch, logs=None):
        """Leaves the embedding trainable: Keras takes averages of all weights at the end of `fit`.

        Args:
            epoch: Ignored.
            logs: Ignored.
        """
        self.model.embedding.trainable = True

    def on_train_end(self, logs=None):
        """Leaves a function of a step that trains the embedding.

        Args:
            logs: Ignored.
        """
        if not self._traced:
            self.model.make_train_function(force=True)
