"""The examples in the docstrings of `models`, run as they are written."""

import doctest
import importlib

import pytest

MODULES = ("language_model", "layers.augmented_loss", "layers.tied_dense", "layers.variational_lstm", "text.windows")


@pytest.mark.parametrize("module", MODULES)
def test_examples_run_as_written(module):
    results = doctest.testmod(importlib.import_module(f"models.{module}"))
    assert results.attempted > 0 and results.failed == 0
