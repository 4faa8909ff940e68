"""Benchmarks: speed and memory, each figure with its goal where it has one.

They import `pipeline`, `components` and `models`, and run them in separate processes. None of these imports them.
"""
