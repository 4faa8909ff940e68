"""The examples in docstrings, run as they are written."""

import doctest
import importlib

import pytest

MODULES = (
    "models.language_model",
    "models.layers.augmented_loss",
    "models.layers.tied_dense",
    "models.layers.variational_lstm",
    "models.text.tokenizer",
    "models.text.windows",
    "components.artifacts.document",
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_run_as_written(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0 and results.failed == 0
