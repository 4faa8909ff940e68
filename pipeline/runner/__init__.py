"""The local runner: order, cache, complete outputs, one run in a root at a time, progress, rollback, workers.

Imports `pipeline.metadata` and `components.base`, and of the components the Trainer's and Tuner's workers and the
Pusher's versions; imported by the commands.
"""
