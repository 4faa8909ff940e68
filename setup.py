"""For tools that look for this file; what is installed is declared in pyproject.toml."""

from setuptools import setup

setup()
