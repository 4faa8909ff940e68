"""Pusher: copies a blessed model to the folder in which TensorFlow Serving looks for versions."""
