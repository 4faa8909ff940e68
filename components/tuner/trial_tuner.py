"""The tuner: trains a trial's model as the Trainer does, stops it if it diverges, and writes its record."""

import gc
import math
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
from keras_tuner.engine import base_tuner
from keras_tuner.src import config as keras_tuner_config
from keras_tuner.src.distribute import utils as keras_tuner_distribution

from components import child_process, number_format
from components.artifacts.trials import RECORD
from components.base import ComponentError
from components.terminal import make_console
from components.tuner import heartbeat
from components.tuner.component import Tuner
from components.tuner.hyper_model import LanguageHyperModel
from components.tuner.oracles import IDENTITY, OBJECTIVE, PAST_TRIAL, make_oracle
from models import files
from models.text.token_stream import TokenStream
from models.text.tokenizer import Tokenizer
from models.text.unigram import count_tokens, unigram_perplexity
from models.training.callbacks import TrainingDiverged

keras_tuner_config.DEBUG = False  # a trial that diverged is a result and needs no traceback
LARGEST = 1e30  # larger perplexities are not kept: they mean nothing, and overflow in TensorBoard
PROJECT, CHECKPOINTS = "search", "checkpoints"


class TrialTuner(base_tuner.BaseTuner):
    """Keras Tuner's loop over trials, alone or as one of several processes (see `KERASTUNER_TUNER_ID`).

    Args:
        parameters: The Tuner's parameters.
        folder: The search's own folder, which several processes of the search share.
        identity: A text that distinguishes this search from every other search.
        splits: Token streams of "train" and "eval".
        tokenizer: The tokenizer; its vocabulary is that of the models.
        strategy: The distribution strategy of the trials.

    Attributes:
        unigram_perplexity: Perplexity of the word frequencies; a trial above it has diverged. One with averaged
            weights, which lag behind, has only if its training perplexity is above it, too, at the end.
        trained: Number of trials that this process has trained.
    """

    def __init__(
        self,
        parameters: Tuner.Parameters,
        folder: Path,
        identity: str,
        splits: Mapping[str, TokenStream],
        tokenizer: Tokenizer,
        strategy: tf.distribute.Strategy,
    ):
        self.parameters, self.identity = parameters, identity
        counts = [count_tokens(splits[split], tokenizer.vocabulary_size) for split in ("train", "eval")]
        self.unigram_perplexity = unigram_perplexity(*counts)
        self.trained = 0
        self._console = make_console(soft_wrap=True)
        hyper_model = LanguageHyperModel(parameters, splits, tokenizer, strategy)
        super().__init__(make_oracle(parameters, identity), hyper_model, directory=str(folder), project_name=PROJECT)
        self.save()  # Keras Tuner first saves after the first trial, and would forget a trial that is killed before

    def _populate_initial_space(self) -> None:
        """Does nothing: the oracle has the whole space already, so no model has to be built to find it."""

    def _get_tuner_fname(self) -> str:
        """Returns the same name with and without workers, so that a search can resume in either way."""
        return str(Path(self.project_dir) / (f"{self.tuner_id}.json" if self._is_worker() else "tuner.json"))

    def save(self) -> None:
        """Writes the state of the oracle and marks the search as begun."""
        if not self._is_worker():
            self.oracle.save()
        files.write_text(Path(self._get_tuner_fname()), "{}")

    def search(self) -> None:
        """Trains trials, or gives them to workers, until there are no more."""
        if self._is_worker():
            heartbeat.begin(Path(self._get_tuner_fname()))
        elif keras_tuner_distribution.is_chief_oracle():
            threading.Thread(target=self._watch_workers, daemon=True).start()
        super().search()

    def _watch_workers(self) -> None:
        watch = heartbeat.HeartbeatMonitor()
        while True:
            time.sleep(heartbeat.INTERVAL)
            dead = self.oracle.release(lambda worker: watch.is_silent(Path(self.project_dir) / f"{worker}.json"))
            for worker, trial in dead.items():
                trial = f"; trial {trial} waits for another worker" if trial else ""
                message = f"{worker} has shown no sign of life for {heartbeat.WORKER_TIMEOUT:.0f} s{trial}."
                self._console.print(message, markup=False)
            if dead and not self.oracle.tuner_ids:
                self._console.print("No worker is left. Start one to continue the search.", markup=False)

    def pre_create_trial(self) -> None:
        """Waits a moment before the oracle is asked for a trial."""
        time.sleep(0.05)  # Keras Tuner asks an oracle that waits for other workers again at once

    def run_trial(self, trial) -> dict[str, float]:
        """Trains one trial and writes its record.

        Args:
            trial: Keras Tuner's trial, with its hyperparameters.

        Returns:
            `val_perplexity` of the best epoch.

        Raises:
            keras_tuner.errors.FailedTrialError: If the trial diverged or cannot be trained; the search continues.
            keras_tuner.errors.FatalError: If any other exception was raised; the search ends.
        """
        record = {"trial": trial.trial_id, "tuner": self.tuner_id, "valid_perplexity": []}
        clock = time.monotonic()
        try:
            self._train(trial, record)
            status, reason = "completed", None
        except TrainingDiverged as error:
            status, reason = "diverged", str(error)
        except (ValueError, tf.errors.ResourceExhaustedError) as error:
            status, reason = "failed", str(error)
        except Exception as error:
            raise keras_tuner.errors.FatalError(str(error)) from error
        seconds = record.pop("seconds_before", 0.0) + time.monotonic() - clock
        record |= {"status": status, "reason": reason, "seconds": round(seconds, 3)}
        RECORD.write(Path(self.get_trial_dir(trial.trial_id)), record)
        self.trained += 1
        if reason:
            self._console.print(f"  {status}: {reason}", markup=False)
            raise keras_tuner.errors.FailedTrialError(reason)
        return {OBJECTIVE.name: min(record["valid_perplexity"])}

    def on_trial_end(self, trial) -> None:
        """Reports the trial to the oracle, removes its checkpoints if they are not needed, and frees memory.

        Args:
            trial: Keras Tuner's trial, which has ended.
        """
        super().on_trial_end(trial)
        if self.parameters.algorithm != "hyperband":  # Hyperband's later trials continue earlier ones
            shutil.rmtree(Path(self.get_trial_dir(trial.trial_id)) / CHECKPOINTS, ignore_errors=True)
        keras.utils.clear_session()
        gc.collect()

    def _train(self, trial, record: dict[str, Any]) -> None:
        values = trial.hyperparameters.values
        if values.get(IDENTITY) != self.identity:
            raise ComponentError(
                "The chief at KERASTUNER_ORACLE_IP runs another search than this worker. Start both with the same "
                "configuration and pipeline.root."
            )
        # Values that make no valid setting together fail the trial, which is recorded with them.
        record |= {"values": {h.name: values[h.name] for h in self.parameters.space}}
        parameters = self.hypermodel.trial_parameters(values)
        record |= {"values": {h.name: getattr(parameters, h.name) for h in self.parameters.space}}
        record |= {"epochs": parameters.epochs, "seconds_before": 0.0}
        self._console.print(f"Trial {trial.trial_id}: {number_format.settings(record['values'])}", markup=False)
        inherited = values.get("tuner/initial_epoch", 0)
        last: Mapping[str, Any] = {}
        lags = parameters.ema is not None

        def is_above(perplexity: float) -> bool:
            return not perplexity <= self.unigram_perplexity

        def diverged() -> TrainingDiverged:
            return TrainingDiverged(
                f"The valid perplexity after epoch {last['epoch']}, {last['valid_perplexity']:.5g}, is above the "
                f"unigram model's, {self.unigram_perplexity:.1f}."
            )

        def on_epoch(epoch: Mapping[str, Any], resumed: bool) -> None:
            nonlocal last
            last, perplexity = epoch, epoch["valid_perplexity"]
            text = f"  epoch {epoch['epoch']} of {parameters.epochs}: valid perplexity {perplexity:.5g}"
            self._console.print(f"{text}, {epoch['seconds']:.0f} s", markup=False)
            if resumed and epoch["epoch"] > inherited:
                record["seconds_before"] += epoch["seconds"]
            if perplexity < LARGEST:
                record["valid_perplexity"].append(perplexity)
            if is_above(perplexity) and not (lags and math.isfinite(perplexity)):
                raise diverged()

        folder = self._checkpoints(trial.trial_id, values.get(PAST_TRIAL))
        model = self.hypermodel.build(trial.hyperparameters)
        with child_process.stoppable():
            self.hypermodel.fit(trial.hyperparameters, model, folder, on_epoch, child_process.stop_requested)
        if last and is_above(last["valid_perplexity"]) and is_above(last["train_perplexity"]):
            raise diverged()

    def _checkpoints(self, trial_id: str, past_trial: str | None) -> Path:
        """Returns the folder of a trial's checkpoints, filled with those of the trial that it continues.

        If those are missing, the trial trains from the beginning, with the same result.
        """
        folder = Path(self.get_trial_dir(trial_id)) / CHECKPOINTS
        past = Path(self.get_trial_dir(past_trial)) / CHECKPOINTS if past_trial else folder
        if past.is_dir() and not folder.exists():
            aside = folder.with_name("aside")
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(past, aside)
            files.move_into_place(aside, folder)
        return folder
