"""What the commands share: their names, `tied-lm run` where the package is installed, and quiet libraries."""

import argparse
import os
import sys
import warnings
from pathlib import Path

from models.files import is_url

COMMAND = "tied-lm"


def name(subcommand: str) -> str:
    """What a person types to get the subcommand, such as "run"."""
    return f"{COMMAND} {subcommand}" if _installed() else f"python -m pipeline.{subcommand}"


def main_job() -> str:
    """What a person types to train and push a model."""
    return f"{COMMAND} run --local" if _installed() else "make run"


def _installed() -> bool:
    return Path(sys.argv[0]).name == COMMAND


def path(text: str) -> Path:
    """An argument that names a file or folder, for `argparse`."""
    if is_url(text):
        raise argparse.ArgumentTypeError(f"found the URL {text}, expected a local or mounted path")
    return Path(text)


class UsageError(Exception):
    """The command cannot do what was asked: the message says why and what to do."""


def install_extra(extra: str) -> str:
    """A sentence that says how to install an extra of this project."""
    if _installed():
        return f"Install the extra: pip install 'tied-language-model[{extra}]'."
    return f"Install the extra: pip install -c constraints.txt -e '.[{extra}]'."


def quiet_libraries(verbose: bool) -> None:
    """Keeps the libraries' logs and warnings, here and in child processes, for --verbose."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "3")
    if not verbose:
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        warnings.simplefilter("ignore")
