"""The local server: TensorFlow Serving's REST API, and a page to try the model on."""
