"""Lineage: runs, executions, artifacts and their properties, in SQLite and beside the artifacts themselves.

Imports no other subpackage of `pipeline`; imported by `pipeline.runner` and `pipeline.reporting`.
"""
