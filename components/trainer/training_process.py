"""The work of the training process: train, keep the best epoch, export it. Only its functions import TensorFlow."""

import contextlib
import json
import logging
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from components import child_process, number_format
from components.artifacts.model_card import ModelCard
from components.artifacts.splits import split_dir
from components.base import ComponentError, Context
from components.trainer import hyperparameters
from components.trainer.component import Trainer
from models.serving import saved_model


def train_and_export(
    inputs: dict[str, Path], outputs: dict[str, Path], parameters: Trainer.Parameters, context: Context
) -> dict:
    """Trains the model, from its last checkpoint if the workspace has one, and writes the outputs.

    Args:
        inputs: The Trainer's inputs, see `components.trainer.executor.execute`.
        outputs: The Trainer's outputs. If empty (for a worker that is not the chief), nothing is written.
        parameters: The Trainer's parameters.
        context: The Trainer's context, without `peers`.

    Returns:
        The figures of the training.

    Raises:
        ComponentError: If the data are too few for the batch, the training diverged, or another worker was stopped.
    """
    _show_messages(context)
    tuned = {}
    if "hyperparameters" in inputs:
        parameters, tuned = hyperparameters.apply(inputs["hyperparameters"], parameters)

    from components.trainer.progress import TrainingProgress
    from models.text.token_stream import TokenStream
    from models.text.tokenizer import Tokenizer
    from models.training.agreement import Agreement
    from models.training.devices import make_strategy, make_worker_strategy
    from models.training.resumable import Training
    from models.training.setup import make_model

    with _explained(parameters):
        make = make_worker_strategy if parameters.strategy == "multi_worker_mirrored" else make_strategy
        strategy = make(parameters.replicas, parameters.batch_size)
        splits = {s: TokenStream(split_dir(inputs["transformed_examples"], s)) for s in ("train", "eval")}
        tokenizer = Tokenizer.load(inputs["vocabulary"])
        model, initial = make_model(parameters, tokenizer, strategy)
        _check_alike(Agreement(strategy), model, splits)
        progress = TrainingProgress(context, parameters.epochs) if outputs else None
        options = [progress] if progress else [], child_process.stop_requested
        training = Training(model, *splits.values(), parameters, context.workspace, *options)
        shown = progress.of(training) if progress else contextlib.nullcontext()
        with shown, child_process.stoppable():
            history = training.run()
    figures = _figures(training, history, len(splits["train"]), model) | {"replicas": strategy.num_replicas_in_sync}
    if outputs:
        card = _card(parameters, context, tokenizer, splits, history[training.best_epoch - 1])
        figures |= _write_outputs(outputs, parameters, model, tokenizer, card, progress, splits["eval"])
    return ({"tuned": number_format.settings(tuned)} if tuned else {}) | figures | initial


def _show_messages(context: Context) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in ("tensorflow", "absl"):  # their export warnings are noise
        logging.getLogger(name).setLevel(logging.ERROR)
    if context.quiet:
        child_process.show_warnings_alone()


@contextlib.contextmanager
def _explained(parameters: Trainer.Parameters) -> Iterator[None]:
    """Converts an exception that ends a training into a ComponentError that says what to do."""
    from models.training.callbacks import TrainingDiverged
    from models.training.resumable_epochs import TrainingStopped

    try:
        yield
    except TrainingStopped:
        if child_process.stop_requested():
            raise
        raise ComponentError(
            "Another worker was asked to stop. Start all workers again with the same command to resume from the "
            "chief's checkpoint."
        ) from None
    except TrainingDiverged as error:
        raise ComponentError(f"{error} {_remedy(parameters)}") from None
    except ValueError as error:
        raise ComponentError(str(error)) from None


def _figures(training, history, tokens, model) -> dict:
    """The figures of a training on `tokens` tokens, for the run's summary."""
    best, tokens_per_epoch = history[training.best_epoch - 1], tokens - training.left_over
    seconds = sum(tokens_per_epoch / record["tokens_per_second"] for record in history)
    return {
        "best_epoch": training.best_epoch,
        "epochs": len(history),
        "valid_perplexity": best["valid_perplexity"],
        "train_perplexity": best["train_perplexity"],
        "train_tokens_per_second": round(tokens_per_epoch * len(history) / seconds, 1),
        "precision": model.precision,
        "parameters": sum(v.shape.num_elements() for v in model.trainable_variables),
        "tokens_per_epoch": tokens_per_epoch,
        "tokens_left_over": training.left_over,
    }


def _check_alike(agreement, model, splits) -> None:
    """Raises ValueError if what each machine decides for itself is not the same on all workers."""
    values = {f"the number of tokens of Split-{split}": len(stream) for split, stream in splits.items()}
    precision = zlib.crc32(model.precision.encode()) >> 1
    if differing := agreement.differing(**{"trainer.precision": precision}, **values):
        raise ValueError(
            f"The workers differ in {' and '.join(differing)}. With trainer.precision auto each machine chooses: set "
            "float32 or bfloat16; pipeline.root must be the same folder on all machines."
        )


def _write_outputs(outputs, parameters, trained, tokenizer, card, progress, valid) -> dict:
    """Writes the model, without variables that only its training needs, and the history of the training."""
    from components.trainer.exporting import export_measured
    from models.language_model import LanguageModel
    from models.training.setup import model_config

    model = LanguageModel(**model_config(parameters, tokenizer.vocabulary_size) | {"target": "current"})
    for target, source in zip(model.trainable_variables, trained.trainable_variables, strict=True):
        target.assign(source.numpy())
    path = outputs["model"] / saved_model.EXPORT
    figures = export_measured(model, tokenizer, path, card, parameters.export_dtype, valid)
    model.save_weights(outputs["model"] / "model.weights.h5")
    description = {"model": model.get_config(), "recipe": card["recipe"]}
    (outputs["model"] / "model.json").write_text(json.dumps(description, indent=2) + "\n")
    progress.write_history(outputs["model_run"])
    shutil.move(progress.logs, outputs["model_run"] / "logs")
    return figures


def _card(parameters, context, tokenizer, splits, best) -> ModelCard:
    """The model's card, which ships in `assets.extra/`."""
    return {
        "run_id": context.run_id,
        "recipe": parameters.model_dump(),
        "vocabulary": {"size": tokenizer.vocabulary_size, **tokenizer.settings()},
        "data": {f"{split}_tokens": len(stream) for split, stream in splits.items()},
        "training": best,
    }


def _remedy(parameters: Trainer.Parameters) -> str:
    """Says what to change after training diverged."""
    return (
        f"Likely causes: trainer.learning_rate {parameters.learning_rate} or trainer.clip_norm {parameters.clip_norm} "
        "too large, or loss.temperature too small. Change them and run again."
    )
