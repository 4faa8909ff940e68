"""What the training process does: train, keep the best epoch, export it. TensorFlow is imported in here only."""

import json
import logging
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from components import child_process
from components.base import ComponentError, Context
from components.trainer import hyperparameters
from components.trainer.component import Trainer


def train_and_export(
    inputs: dict[str, Path], outputs: dict[str, Path], parameters: Trainer.Parameters, context: Context
) -> dict:
    """Trains the model, going on from a checkpoint in the workspace where there is one, and writes the outputs.

    Raises:
        ComponentError: If the data are too few for the batch, or the training diverged.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    from models.devices import make_strategy
    from models.language_model import LanguageModel
    from models.token_stream import TokenStream
    from models.tokenizer import Tokenizer
    from models.training import Training, TrainingDiverged
    from models.training_setup import make_model, make_recipe, model_config

    for name in ("tensorflow", "absl"):  # what they warn of on export has no use for anybody
        logging.getLogger(name).setLevel(logging.ERROR)
    tuned = {}
    if "hyperparameters" in inputs:
        parameters, tuned = hyperparameters.apply(inputs["hyperparameters"], parameters)
    values = parameters.model_dump()
    try:
        recipe = make_recipe(values)
        strategy = make_strategy(parameters.replicas, recipe.batch_size)
        splits = {s: TokenStream(inputs["transformed_examples"] / f"Split-{s}") for s in ("train", "eval")}
        tokenizer = Tokenizer.load(inputs["vocabulary"])
        reporter = _Reporter(context, recipe.epochs)
        model, initial = make_model(values, tokenizer, strategy)
        callbacks = reporter.epoch, reporter.step, child_process.stop_requested
        training = Training(model, strategy, *splits.values(), recipe, context.workspace, *callbacks)
        reporter.start(training.history)
        with reporter.progress, child_process.stoppable():
            history = training.run()
    except (TrainingDiverged, ValueError) as error:
        raise ComponentError(str(error)) from None
    best = history[training.best_epoch - 1]
    config = model_config(values, tokenizer.vocabulary_size)
    exported = LanguageModel(**config | {"target": "current"})
    for target, source in zip(exported.trainable_variables, model.trainable_variables, strict=True):
        target.assign(source.numpy())
    card = _card(parameters, context, tokenizer, splits, best)
    figures = _write_outputs(outputs, exported, tokenizer, card, parameters.export_dtype, reporter, training, splits)
    tokens_per_epoch = len(splits["train"]) - training.left_over
    seconds = sum(tokens_per_epoch / record["tokens_per_second"] for record in history)
    return {
        **({"tuned": hyperparameters.in_words(tuned)} if tuned else {}),
        "best_epoch": training.best_epoch,
        "epochs": len(history),
        "valid_perplexity": best["valid_perplexity"],
        "train_perplexity": best["train_perplexity"],
        "train_tokens_per_second": round(tokens_per_epoch * len(history) / seconds, 1),
        "replicas": strategy.num_replicas_in_sync,
        "precision": config["precision"],
        "parameters": exported.count_params(),
        "tokens_per_epoch": tokens_per_epoch,
        "tokens_left_over": training.left_over,
        **figures,
        **initial,
    }


def _write_outputs(outputs, model, tokenizer, card, dtype, reporter, training, splits) -> dict:
    from components.trainer.exporting import export_measured

    path = outputs["model"] / "Format-Serving"
    figures = export_measured(model, tokenizer, path, card, dtype, splits["eval"])
    model.save_weights(outputs["model"] / "model.weights.h5")
    description = {"model": model.get_config(), "recipe": card["recipe"]}
    (outputs["model"] / "model.json").write_text(json.dumps(description, indent=2) + "\n")
    record = {"steps_per_epoch": training.steps, "best_epoch": training.best_epoch, "epochs": training.history}
    (outputs["model_run"] / "history.json").write_text(json.dumps(record, indent=2) + "\n")
    reporter.close()
    shutil.move(reporter.logs, outputs["model_run"] / "logs")
    return figures


def _card(parameters, context, tokenizer, splits, best) -> dict:
    """The model's card, which ships in `assets.extra/`."""
    return {
        "run_id": context.run_id,
        "recipe": parameters.model_dump(),
        "vocabulary": {"size": tokenizer.vocabulary_size, **tokenizer.settings()},
        "data": {f"{split}_tokens": len(stream) for split, stream in splits.items()},
        "training": best,
    }


class _Reporter:
    """Tells people and TensorBoard how training goes."""

    def __init__(self, context: Context, epochs: int):
        self.logs = context.workspace / "logs"
        self.epochs = epochs
        console = Console(stderr=True)
        text = "epoch {task.fields[epoch]}  {task.fields[figures]}"
        self.progress = Progress(
            TextColumn(text), BarColumn(), TimeRemainingColumn(), console=console, transient=True,
            refresh_per_second=1,  # its figures change every second or two, and drawing takes time from the step
            disable=not (context.progress and console.is_terminal),
        )  # fmt: skip
        self._task = self.progress.add_task("", epoch=1, figures="")

    def start(self, history: list[dict]):
        """Begins TensorBoard's logs anew with the epochs that are done already."""
        import tensorflow as tf

        shutil.rmtree(self.logs, ignore_errors=True)
        self._writer = tf.summary.create_file_writer(str(self.logs))
        for record in history:
            self._log(record)

    def step(self, epoch: int, done: int, steps: int, perplexity: float, tokens_per_second: float):
        figures = f"perplexity {perplexity:8.2f}  {tokens_per_second:7,.0f} tokens/s"
        self.progress.update(self._task, completed=done, total=steps, epoch=epoch, figures=figures)

    def epoch(self, record: dict):
        self._log(record)
        self.progress.console.print(
            "epoch {epoch:3}/{epochs}  training {train_perplexity:8.2f}  valid {valid_perplexity:8.2f}  "
            "rate {learning_rate:.3f}  {tokens_per_second:6,.0f} tokens/s".format(epochs=self.epochs, **record),
            highlight=False,
        )

    def close(self):
        self._writer.close()

    def _log(self, record: dict):
        import tensorflow as tf

        with self._writer.as_default(step=record["epoch"]):
            for name, value in record.items():
                if name != "epoch":
                    tf.summary.scalar(name, value)
        self._writer.flush()
