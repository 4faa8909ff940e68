"""Evaluation with models that adapt to the text they read: a neural cache, and dynamic evaluation."""
