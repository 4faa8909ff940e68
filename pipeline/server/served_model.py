"""One version's SavedModel: its signatures, its metadata in TensorFlow Serving's form, and its answers."""

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.eager import cancellation  # TensorFlow has no public way to stop a running function

from models.serving import saved_model
from pipeline.server.errors import STATUS_OF_CODE, RequestError, shortened
from pipeline.server.tensors import NUMPY_TYPES, TensorSpec


@dataclass(frozen=True)
class Signature:
    """Names, types and shapes of a signature's inputs and outputs."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    @property
    def width(self) -> int:
        """Numbers and words in the answer to each example. Outputs as long as the example's text do not count."""
        shapes = [spec.shape[1:] for spec in self.outputs.values()]
        return sum(math.prod(shape) for shape in shapes if None not in shape)


class ServedModel:
    """A SavedModel in memory, without queues: `model_server.VersionWithQueues` adds them.

    Each of its signatures is run once, so that the first request does not wait.

    Args:
        path: The version's folder.
        version: Its number.

    Attributes:
        signatures: `Signature` by name.
        signature_definitions: The signatures in the form of TensorFlow Serving's `/metadata`.

    Raises:
        Exception: Whatever TensorFlow raises if the model cannot be loaded or does not run.
    """

    def __init__(self, path: Path, version: int):
        self.path = path
        self.version = version
        self._model = saved_model.load(path, tags=["serve"])
        proto = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        definitions = proto.meta_graphs[0].signature_def
        self.signature_definitions = {
            name: json_format.MessageToDict(
                definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
            for name, definition in definitions.items()
        }
        self.signatures = {
            name: Signature(_specs(definition["inputs"]), _specs(definition["outputs"]))
            for name, definition in self.signature_definitions.items()
            if name in self._model.signatures
        }
        for name, signature in self.signatures.items():
            self.prepare(name)[0]({key: _example(spec) for key, spec in signature.inputs.items()})

    def signature(self, name: str) -> Signature:
        """Returns a signature.

        Args:
            name: The signature's name.

        Raises:
            RequestError: If the model has no such signature (400).
        """
        if name not in self.signatures:
            raise RequestError(400, f'Serving signature name: "{shortened(name)}" not found in signature def')
        return self.signatures[name]

    def prepare(self, signature: str) -> tuple[Callable[[Mapping[str, np.ndarray]], dict], Callable[[], None]]:
        """Prepares a call of the model.

        Args:
            signature: The signature's name.

        Returns:
            A function that runs the signature on inputs by name, and a function that stops it within a step of its
            loops.
        """
        manager = cancellation.CancellationManager()
        function = manager.get_cancelable_function(self._model.signatures[signature])
        return lambda inputs: self._call(signature, function, inputs), manager.start_cancel

    def _call(self, signature: str, function: Callable, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a signature.

        Raises:
            RequestError: If the model refuses the inputs or fails.
        """
        specs = self._model.signatures[signature].structured_input_signature[1]
        try:
            outputs = function(**{name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()})
            return {name: output.numpy() for name, output in outputs.items()}
        except tf.errors.OpError as error:
            status = STATUS_OF_CODE.get(error.error_code, 500)
            if status >= 500:
                logging.exception("Version %d failed in %s.", self.version, signature)
            raise RequestError(status, _reason(error.message)) from error
        except (TypeError, ValueError) as error:
            raise RequestError(400, _reason(str(error))) from error


def _specs(tensors: Mapping[str, Any]) -> dict[str, TensorSpec]:
    specs = {}
    for name, tensor in sorted(tensors.items()):
        sizes = (int(dim["size"]) for dim in tensor["tensor_shape"]["dim"])
        specs[name] = TensorSpec(tensor["dtype"], tuple(None if size < 0 else size for size in sizes))
    return specs


def _example(spec: TensorSpec) -> np.ndarray:
    shape = [1 if size is None else size for size in spec.shape]
    return np.full(shape, b"" if spec.dtype == "DT_STRING" else 1, NUMPY_TYPES[spec.dtype])


# Lines of TensorFlow's messages that say where the function was defined and which node failed, not why.
_AROUND_THE_REASON = re.compile(
    r"^(Graph execution error:|Detected at node.*|<stack traces unavailable>|File \".*|  .*|\t.*|\d+ root error.*)$"
)
_ASSERTION = re.compile(r"assertion failed: \[([^\]]*)\](?: \[([^\]]*)\])?")


def _reason(message: str) -> str:
    """Extracts from an error's message the reason that an operation or assertion gives."""
    if match := _ASSERTION.search(message):
        expectation, value = match[1], match[2]
        return f"{expectation} {value}" if value and expectation.endswith(", found") else expectation
    lines = [line for line in message.splitlines() if line.strip() and not _AROUND_THE_REASON.match(line)]
    reason = re.sub(r"\s*\[Op:[^\]]*\]|\{\{.*?\}\}", "", lines[0] if lines else "")
    return reason or "The model failed."
