"""Imports without the remarks that TensorFlow's C++ libraries print before any log level takes effect."""

import importlib
import os
import sys
from types import ModuleType


def import_quietly(name: str) -> ModuleType:
    """Imports a module; what is printed to standard error meanwhile is shown only where TensorFlow's logs are.

    `TF_CPP_MIN_LOG_LEVEL=3` is what asks for silence. Python's own errors are raised as ever.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        return importlib.import_module(name)
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        return importlib.import_module(name)
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
