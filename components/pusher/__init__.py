"""Pusher: puts a blessed model where TensorFlow Serving finds it."""
