"""Lineage: runs, executions, artifacts and their properties, in SQLite and beside the artifacts themselves.

`pipeline.runner` writes it; `reporting`, `exporting` and `tracking` import `store.Metadata` to read it or to add to it.
It imports `models.files` and `pipeline.root`, and no other subpackage of `pipeline`.
"""
