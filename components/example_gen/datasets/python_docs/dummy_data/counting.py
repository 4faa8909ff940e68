"""Counting things."""


def count(things):
    """How many things there are."""
    return len(things)
