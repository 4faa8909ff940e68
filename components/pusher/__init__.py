"""Pusher: copies a blessed model to the folder in which TensorFlow Serving looks for versions.

`pipeline` imports the specification and `versions`, for rolling back and exporting. It imports `artifacts`, the
Evaluator's `baseline` and, of `models`, `files`, `parameters` and the exported model's reader.
"""
