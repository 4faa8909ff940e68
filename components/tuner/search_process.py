"""The work of the searching process, alone, as chief or as worker. Only its functions import TensorFlow."""

import contextlib
import io
import logging
import math
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import child_process
from components.artifacts.splits import split_dir
from components.base import ComponentError, Context
from components.tuner.component import Tuner
from components.tuner.invitation import INVITATION


def search(
    inputs: dict[str, Path], outputs: dict[str, Path], parameters: Tuner.Parameters, context: Context
) -> dict[str, Any]:
    """Runs trials (or, as Keras Tuner's chief, gives them to workers) until the budget is spent.

    Args:
        inputs: The Tuner's inputs, see `components.tuner.executor.execute`.
        outputs: The Tuner's outputs.
        parameters: The Tuner's parameters.
        context: The Tuner's context.

    Returns:
        The figures of the search.

    Raises:
        ComponentError: If no trial was completed, or the chief cannot be reached.
    """
    from components.tuner import results

    folder = context.workspace
    if context.quiet:
        child_process.show_warnings_alone()
    tuner = _make_tuner(inputs, parameters, folder)
    INVITATION.write(
        folder,
        {
            "inputs": {key: str(path.absolute()) for key, path in inputs.items()},
            "parameters": parameters.model_dump(mode="json"),
            "host": socket.gethostname(),
            "process": os.getpid(),
        },
    )
    _search(tuner)
    (folder / INVITATION.file).unlink()
    return results.write(tuner, outputs["best_hyperparameters"], context.quiet)


def work(folder: Path) -> dict[str, Any]:
    """Trains the trials that a chief gives to this worker, until there are no more.

    Args:
        folder: The chief's workspace, with its invitation.

    Returns:
        `trials`, the number of trials that this worker trained.

    Raises:
        ComponentError: If the invitation cannot be read, or the chief cannot be reached.
    """
    invitation = INVITATION.read(folder)
    inputs = {key: Path(path) for key, path in invitation["inputs"].items()}
    tuner = _make_tuner(inputs, Tuner.Parameters.model_validate(invitation["parameters"]), folder)
    _search(tuner)
    return {"trials": tuner.trained}


def _make_tuner(inputs: Mapping[str, Path], parameters: Tuner.Parameters, folder: Path):
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    import tensorflow as tf

    from components.tuner.trial_tuner import TrialTuner
    from models.text.token_stream import TokenStream
    from models.text.tokenizer import Tokenizer
    from models.training.devices import make_strategy

    tf.get_logger().setLevel("ERROR")
    try:
        strategy = make_strategy(parameters.trainer.replicas, _common_batch_size(parameters))
        splits = {s: TokenStream(split_dir(inputs["transformed_examples"], s)) for s in ("train", "eval")}
        tokenizer = Tokenizer.load(inputs["vocabulary"])
    except ValueError as error:
        raise ComponentError(str(error)) from None
    with contextlib.redirect_stdout(io.StringIO()):  # Keras Tuner prints where it reloads from
        tuner = TrialTuner(parameters, folder, folder.name, splits, tokenizer, strategy)
    if hasattr(tuner.oracle, "trials") and tuner.oracle.trials:
        logging.info("Resuming the search after %d trials.", len(tuner.oracle.end_order))
    return tuner


def _search(tuner) -> None:
    import grpc
    import keras_tuner

    address = ":".join(os.environ.get(f"KERASTUNER_ORACLE_{part}", "") for part in ("IP", "PORT"))
    try:
        tuner.search()
    except grpc.RpcError as error:
        raise ComponentError(
            f"The chief at {address} (KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT) stopped answering "
            f"({error.details()}). Check that it is running, then start this worker again."
        ) from None
    except keras_tuner.errors.FatalError as error:
        raise error.__cause__ from None
    except RuntimeError as error:
        if "bind" not in str(error).lower():
            raise
        raise ComponentError(
            f"KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT: this machine cannot listen at {address}. Name an address "
            "of this machine and a free port."
        ) from error


def _common_batch_size(parameters: Tuner.Parameters) -> int:
    """Returns a divisor of every trial's batch size: all trials share the devices, whose number must divide it."""
    sizes = [parameters.trainer.batch_size]
    for hyperparameter in parameters.space:
        if hyperparameter.name == "batch_size":
            sizes += [int(size) for size in hyperparameter.samples()]
            if hyperparameter.kind == "int" and hyperparameter.scale == "log":
                return 1
    return math.gcd(*sizes)
