"""The hypermodel of Keras Tuner: a language model, built from hyperparameters and fitted as the Trainer does."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf

from components.trainer.component import Trainer
from components.tuner.component import Tuner
from components.tuner.oracles import EPOCHS, OBJECTIVE
from models.language_model import LanguageModel
from models.text.token_stream import TokenStream
from models.text.tokenizer import Tokenizer
from models.training.resumable import Training
from models.training.setup import make_model


class LanguageHyperModel(keras_tuner.HyperModel):
    """Builds and fits the model of a trial.

    Args:
        parameters: The Tuner's parameters.
        splits: Token streams of "train" and "eval".
        tokenizer: The tokenizer; its vocabulary is that of the models.
        strategy: The distribution strategy of the trials.
    """

    def __init__(
        self,
        parameters: Tuner.Parameters,
        splits: Mapping[str, TokenStream],
        tokenizer: Tokenizer,
        strategy: tf.distribute.Strategy,
    ):
        super().__init__()
        self._parameters, self._splits, self._tokenizer, self._strategy = parameters, splits, tokenizer, strategy

    def trial_parameters(self, values: Mapping[str, Any]) -> Trainer.Parameters:
        """Returns the parameters of a trial: the default setting, with the oracle's values in it.

        Args:
            values: The trial's values by name; names that are not in the space, other than the epochs, are ignored.
        """
        default = self._parameters.trainer
        own = {hyperparameter.name: values[hyperparameter.name] for hyperparameter in self._parameters.space}
        own["epochs"] = values.get(EPOCHS, default.epochs)
        return Trainer.Parameters.model_validate(default.model_dump() | own)

    def build(self, hp: keras_tuner.HyperParameters) -> LanguageModel:
        """Builds and compiles the model of a trial, as its training begins.

        Args:
            hp: The trial's hyperparameters.
        """
        model, _ = make_model(self.trial_parameters(hp.values), self._tokenizer, self._strategy)
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: LanguageModel,
        folder: Path,
        on_epoch: Callable[[Mapping[str, Any], bool], None] = lambda record, resumed: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, float]:
        """Trains a trial's model as the Trainer does, from its last checkpoint if there is one.

        Args:
            hp: The trial's hyperparameters.
            model: The model that `build` made from them.
            folder: Folder of the checkpoints.
            on_epoch: Called with each epoch's record (see `Training.history`) and whether the epoch was trained before.
            should_stop: Called after each step; the training stops if it returns True (see `Training`).

        Returns:
            `val_perplexity` of the best epoch.
        """
        recipe = self.trial_parameters(hp.values)
        report = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: on_epoch(training.history[-1], False))
        splits = self._splits["train"], self._splits["eval"]
        training = Training(model, *splits, recipe, folder, [report], should_stop)
        for record in training.history:
            on_epoch(record, True)
        history = training.run()
        return {OBJECTIVE.name: min(record["valid_perplexity"] for record in history)}
