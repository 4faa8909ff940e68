"""The examples in the docstrings of `models`, run as they are written."""

import doctest
import importlib

import pytest

MODULES = ("augmented_loss", "language_model", "text.windows", "tied_dense", "variational_lstm")


@pytest.mark.parametrize("module", MODULES)
def test_examples_run_as_written(module):
    results = doctest.testmod(importlib.import_module(f"models.{module}"))
    assert results.attempted > 0 and results.failed == 0
