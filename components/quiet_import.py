"""Imports TensorFlow without the messages of its C++ libraries, and without unused packages that Keras imports."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

# Keras imports these packages if they are installed, for wrappers and plots that are not used here. They take two
# fifths of the time of importing TensorFlow, and 85 MB of every process.
UNUSED_PACKAGES = ("sklearn", "matplotlib")


def import_quietly(name: str) -> ModuleType:
    """Imports a module and hides what is printed to standard error meanwhile, if `TF_CPP_MIN_LOG_LEVEL` is 3.

    Args:
        name: Dotted name of the module.

    Returns:
        The module.

    Raises:
        ImportError: If it cannot be imported. Python's exceptions are never hidden.
    """
    if name in sys.modules:  # nothing will be printed; and threads must not redirect standard error at the same time
        return importlib.import_module(name)
    with _without(() if "keras" in sys.modules else UNUSED_PACKAGES), silence():
        return importlib.import_module(name)


@contextlib.contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Makes modules that are not imported yet look as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Hides what the block writes to standard error, C++ libraries included, if `TF_CPP_MIN_LOG_LEVEL` is 3."""
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
