"""Greeting people: è, 漢字."""
