"""Requests that TensorFlow Serving replays when it loads a version, so that the first client does not wait.

Serving reads them from a TFRecord file of `tensorflow.serving.PredictionLog`. Its Python package is not needed here:
the few messages around the tensors are written in protobuf's wire format, and a test reads them with that package.
"""

from pathlib import Path

import tensorflow as tf

from models.serving import saved_model
from models.text.tokenizer import EOS_ID

MODEL_NAME = "lm"  # Serving sends each request to the version that it loads, whatever the name
TEXT = b"the"


def write(path: str | Path, num_layers: int, units: int) -> None:
    """Writes one request for each signature of a SavedModel, the same bytes each time.

    Args:
        path: The SavedModel's folder.
        num_layers: Number of LSTM layers of the model, for the shape of the state that `step` takes.
        units: Size of each layer's h and c, for the same shape.
    """
    file = Path(path) / saved_model.WARM_UP
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, inputs in _requests(num_layers, units).items():
            writer.write(_prediction_log(signature, inputs))


def _requests(num_layers: int, units: int) -> dict[str, dict[str, tf.Tensor]]:
    """Signature -> its inputs, a batch of one."""
    return {
        "serving_default": {"text": tf.constant([TEXT])},
        "score": {"text": tf.constant([TEXT])},
        "generate": {
            "prompt": tf.constant([TEXT]),
            "max_words": tf.constant([2]),
            "temperature": tf.constant([1.0]),
            "top_k": tf.constant([0]),
            "top_p": tf.constant([1.0]),
            "seed": tf.constant([0]),
        },
        "step": {"token_ids": tf.constant([EOS_ID], tf.int64), "state": tf.zeros([1, num_layers, 2, units])},
    }


def _prediction_log(signature: str, inputs: dict[str, tf.Tensor]) -> bytes:
    """A serialized `PredictionLog`, with the fields' numbers in `tensorflow_serving/apis/*.proto`."""
    model_spec = _field(1, MODEL_NAME.encode()) + _field(3, signature.encode())  # name, signature_name
    request = _field(1, model_spec)
    for name, tensor in inputs.items():  # map<string, TensorProto> inputs = 2, each entry a message (key 1, value 2)
        tensor_proto = tf.make_tensor_proto(tensor).SerializeToString(deterministic=True)
        request += _field(2, _field(1, name.encode()) + _field(2, tensor_proto))
    return _field(6, _field(1, request))  # PredictionLog.predict_log.request


def _field(number: int, content: bytes) -> bytes:
    """Encodes a text, bytes or message as a field of a message: key, length, content."""
    length_delimited = 2
    return _varint(number << 3 | length_delimited) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encodes a number in groups of 7 bits, the lowest first; all but the last have the high bit set."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
