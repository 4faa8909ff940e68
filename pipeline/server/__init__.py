"""The local server: TensorFlow Serving's REST API, and a page to try the model on.

`pipeline.serve` imports `app` and `connections`, which need the extra `serve`, and `served_model`, which loads
TensorFlow. Of this project the package imports `models.serving.saved_model` alone.
"""
