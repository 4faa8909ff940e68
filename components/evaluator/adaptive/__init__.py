"""Evaluation that adapts to the text it reads: a neural cache, and dynamic evaluation."""
