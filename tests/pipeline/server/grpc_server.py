"""TensorFlow Serving's gRPC service over a SavedModel, with its own messages and stubs, in place of its program."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from models.serving import saved_model


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers `Predict` by the model's signatures, as `TensorflowPredictor` does in TensorFlow Serving.

    Args:
        folder: Of versions; the newest one is served.
    """

    def __init__(self, folder: Path):
        self.path = saved_model.newest(folder)
        self._signatures = saved_model.load(self.path, tags=["serve"]).signatures

    def Predict(self, request, context):
        """Runs the signature that the request names."""
        name = request.model_spec.signature_name or "serving_default"
        if name not in self._signatures:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Serving signature name: {name!r} not found")
        signature = self._signatures[name]
        specs = signature.structured_input_signature[1]
        if set(request.inputs) != set(specs):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"expected the inputs {sorted(specs)}")
        inputs = {
            key: tf.io.parse_tensor(value.SerializeToString(), specs[key].dtype)
            for key, value in request.inputs.items()
        }
        try:
            outputs = signature(**inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message[:1000])
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        response.model_spec.version.value = int(self.path.name)
        for key in request.output_filter or outputs:
            response.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key].numpy()))
        return response


@contextlib.contextmanager
def serve(folder: Path):
    """Runs the service in threads; yields its port."""
    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(folder), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()
