"""Imports TensorFlow without the remarks that its C++ libraries print, and without what Keras has no need to bring."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

# Keras imports them where they are installed, for wrappers and plots that are not used here: two fifths of the seconds
# that importing TensorFlow takes, and 85 MB of every process.
SPARED = ("sklearn", "matplotlib")


def import_quietly(name: str) -> ModuleType:
    """Imports a module; what is printed to standard error meanwhile is shown only where TensorFlow's logs are.

    `TF_CPP_MIN_LOG_LEVEL=3` is what asks for silence. Python's own errors are raised as ever.
    """
    with _without(() if "keras" in sys.modules else SPARED), silence():
        return importlib.import_module(name)


@contextlib.contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Lets modules that are not imported yet look as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps what is written to standard error, by C++ libraries too, from being shown, if TensorFlow's logs are not."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
