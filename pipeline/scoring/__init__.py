"""Bulk scoring: how probable each line of large files is."""
