"""Converts JSON to tensors and back, by the rules (and with the messages) of TensorFlow Serving's REST API.

Requests are `{"signature_name": ..., "instances": [...]}` (row format: a value or an object for each example) or
`{"signature_name": ..., "inputs": ...}` (columnar: a list for each tensor). Answers are `{"predictions": [...]}` or
`{"outputs": ...}`. Bytes are written `{"b64": "..."}`.

The rules are written out, with an error for each, because TensorFlow Serving has a text of its own for each; a schema
library would give others.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from pipeline.server.errors import RequestError, echo, shortened

ROW, COLUMNAR = "row", "columnar"
MAX_DEPTH = 16  # nesting of the lists of one tensor
NUMPY_TYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_BOOL": np.bool_,
    "DT_STRING": np.object_,
}
TYPE_NAMES = {"DT_FLOAT": "float"} | {name: name[3:].lower() for name in NUMPY_TYPES if name != "DT_FLOAT"}


@dataclass(frozen=True)
class TensorSpec:
    """Type ("DT_STRING", ...) and shape (None for an unknown size) of an input or output."""

    dtype: str
    shape: tuple[int | None, ...]


def parse(body: bytes) -> dict[str, Any]:
    """Parses a request's JSON object.

    Args:
        body: The request's body.

    Raises:
        RequestError: If the body is not a JSON object, or its `signature_name` is not a string (400).
    """
    if not body:
        raise _invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        raise _invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _invalid(f"JSON Parse error: {shortened(str(error))}") from None
    if not isinstance(document, dict):
        raise _invalid(f"JSON Value: {echo(document)} Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise _invalid(
            f"JSON Value: {echo(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return document


def rows(document: Mapping[str, Any]) -> int:
    """Counts a request's examples without reading their values.

    Args:
        document: The request's JSON object, which need not be valid.
    """
    values = [document.get("instances"), document.get("inputs")]
    values += document["inputs"].values() if isinstance(document.get("inputs"), dict) else []
    return max((len(value) for value in values if isinstance(value, list)), default=0)


def to_tensors(document: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> tuple[str, dict[str, np.ndarray]]:
    """Converts a request to the signature's inputs.

    Args:
        document: The request's JSON object.
        specs: Name -> type and shape of the signature's inputs.

    Returns:
        The request's format, `ROW` or `COLUMNAR`, and the inputs by name.

    Raises:
        RequestError: If the inputs do not fit the signature (400).
    """
    if "instances" in document and "inputs" in document:
        raise _invalid(
            f"JSON Value: {echo(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise _invalid(f"JSON Value: {echo(document)} Excepting 'instances' to be an list/array")
        if not instances:
            raise _invalid(f"JSON Value: {echo(document)} No values in 'instances' array")
        tensors = _from_instances(instances, specs)
    elif "inputs" in document:
        tensors = _from_inputs(document["inputs"], specs)
    else:
        raise _invalid("Missing 'inputs' or 'instances' key")
    for name, tensor in tensors.items():
        shape = specs[name].shape
        fits = len(shape) == tensor.ndim and all(
            expected in (None, found) for expected, found in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            raise _invalid(
                f"The input {name!r} has the shape {_shape(tensor.shape)}, the signature takes {_shape(shape)}."
            )
    return ROW if "instances" in document else COLUMNAR, tensors


def _from_instances(instances: list, specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    of_objects = _is_named(instances[0])
    if not of_objects and len(specs) > 1:
        raise _invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    columns: dict[str, list[np.ndarray]] = {name: [] for name in specs}
    for place, instance in enumerate(instances):
        if _is_named(instance) != of_objects:
            found = "Expecting object but got list" if of_objects else "Expecting value/list but got object"
            raise _invalid(f"{found} at item {place} of input list")
        values = instance if of_objects else {next(iter(specs)): instance}
        for name, value in values.items():
            where = f"Failed to process element: {place}" + (f" key: {name}" if of_objects else "")
            if name not in specs:
                raise _invalid(
                    f"{shortened(where)} of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have "
                    f"named input: {shortened(name)}"
                )
            try:
                tensor = _tensor(value, specs[name].dtype)
            except RequestError as error:
                raise _invalid(f"{where} of 'instances' list. Error: INVALID_ARGUMENT: {error}") from None
            if columns[name] and tensor.shape != columns[name][0].shape:
                raise _invalid(
                    f"{where} of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape "
                    f"{_shape(columns[name][0].shape)} but got: {_shape(tensor.shape)}"
                )
            columns[name].append(tensor)
        if values.keys() != specs.keys():
            raise _invalid(
                f"Failed to process element: {place} of 'instances' list. JSON object: {echo(instance)} keys must be "
                f"equal to: {','.join(sorted(specs))}"
            )
    return {name: np.stack(column) for name, column in columns.items()}


def _from_inputs(inputs: Any, specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    if not _is_named(inputs):
        if len(specs) > 1:
            raise _invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        inputs = {next(iter(specs)): inputs}
    for name in specs:
        if name not in inputs:
            raise _invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(inputs[name], spec.dtype) for name, spec in specs.items()}


def _tensor(value: Any, dtype: str) -> np.ndarray:
    """Converts nested lists to a dense tensor. The first elements give the shape, which all others must have."""
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        if len(shape) > MAX_DEPTH:
            raise _invalid(f"Lists are nested more than {MAX_DEPTH} deep; no input has so many dimensions.")
        if not first:
            break
        first = first[0]
    flat: list[Any] = []
    _flatten(value, 0, shape, dtype, flat)
    if dtype == "DT_STRING":
        tensor = np.empty(len(flat), np.object_)
        tensor[:] = flat
        return tensor.reshape(shape)
    return np.array(flat, NUMPY_TYPES[dtype]).reshape(shape)


def _flatten(value: Any, level: int, shape: list[int], dtype: str, flat: list) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise _invalid(
                f"JSON Value: {echo(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: "
                f"{len(shape)}"
            )
        flat.append(_scalar(value, dtype))
        return
    if level >= len(shape):
        raise _invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise _invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _flatten(item, level + 1, shape, dtype, flat)


def _scalar(value: Any, dtype: str) -> Any:
    if dtype == "DT_STRING":
        if isinstance(value, str):
            return value.encode("utf-8", "surrogatepass")  # the model replaces half a surrogate pair
        if isinstance(value, dict):
            return _decoded(value)
    elif dtype == "DT_BOOL":
        if isinstance(value, bool):
            return value
    elif isinstance(value, int) and not isinstance(value, bool):
        if dtype not in ("DT_INT32", "DT_INT64"):
            return _float(value, dtype)
        limits = np.iinfo(NUMPY_TYPES[dtype])
        if limits.min <= value <= limits.max:
            return value
    elif isinstance(value, float) and dtype in ("DT_FLOAT", "DT_DOUBLE"):
        return _float(value, dtype)
    raise _invalid(f"JSON Value: {echo(value)} Type: {_type_name(value)} is not of expected type: {TYPE_NAMES[dtype]}")


def _float(value: float, dtype: str) -> float:
    largest = float(np.finfo(NUMPY_TYPES[dtype]).max)
    if not (isinstance(value, float) and not math.isfinite(value)) and abs(value) > largest:
        raise _invalid(f"Cannot convert JSON value: {echo(value)} to {TYPE_NAMES[dtype]} without loss of precision.")
    return value


def _decoded(value: dict) -> bytes:
    if list(value) != ["b64"] or not isinstance(value["b64"], str):
        raise _invalid(f"JSON Value: {echo(value)} not formatted correctly for base64 data")
    try:
        text = value["b64"]
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("Unable to base64 decode") from None


def from_tensors(tensors: Mapping[str, np.ndarray], layout: str) -> bytes:
    """Writes an answer's JSON: `predictions` in row format, `outputs` in columnar format.

    Args:
        tensors: Outputs by name. A single output is written without its name.
        layout: `ROW` or `COLUMNAR`.

    Raises:
        RequestError: If outputs with different numbers of rows are to be written in row format (400).
    """
    values = {name: _plain(name, tensor) for name, tensor in tensors.items()}
    if len(values) == 1:
        (rows,) = values.values()
    elif layout == COLUMNAR:
        rows = values
    else:
        sizes = {len(value) for value in values.values()}
        if len(sizes) > 1:
            raise _invalid(f"The outputs have inconsistent batch sizes: {sorted(sizes)}. Ask in columnar format.")
        rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    document = {"outputs" if layout == COLUMNAR else "predictions": rows}
    if all(tensor.dtype.kind != "f" or np.isfinite(tensor).all() for tensor in tensors.values()):
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    # json writes NaN and Infinity, as TensorFlow Serving does.
    return json.dumps(document, default=lambda array: array.tolist()).encode()


def _plain(name: str, tensor: np.ndarray) -> Any:
    """Converts strings to nested lists; numbers stay an array, so that a float32 is written with its own digits."""
    if tensor.dtype != np.object_:
        return np.ascontiguousarray(tensor)
    as_base64 = name.endswith("_bytes")

    def plain(value):
        if isinstance(value, list):
            return [plain(item) for item in value]
        return {"b64": base64.b64encode(value).decode()} if as_base64 else value.decode("utf-8", "replace")

    return plain(tensor.tolist())


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not (list(value) == ["b64"] and isinstance(value["b64"], str))


def _invalid(message: str) -> RequestError:
    return RequestError(400, message)


def _type_name(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "True", False: "False", None: "Null"}[value]
    return {dict: "Object", list: "Array", str: "String"}.get(type(value), "Number")


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"[{','.join('-1' if size is None else str(size) for size in shape)}]"
