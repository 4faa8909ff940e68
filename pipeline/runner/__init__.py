"""The local runner: order, cache, whole outputs, one run a root, progress, rollback, workers of a search.

Imports `pipeline.metadata` and `components.base`, no component; imported by the commands.
"""
