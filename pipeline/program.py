"""What the commands share: how they are called, messages about extras, quiet libraries."""

import argparse
import os
import sys
import warnings
from pathlib import Path

from models.files import is_url

COMMAND = "tied-lm"
DEFAULT_CONFIG = Path("pipeline_config.yaml")


def name(subcommand: str) -> str:
    """Returns what a person types to run a subcommand.

    Args:
        subcommand: Such as "run".

    Returns:
        `tied-lm run` if the package is installed, otherwise `python -m pipeline.run`.
    """
    return f"{COMMAND} {subcommand}" if _installed() else f"python -m pipeline.{subcommand}"


def main_job() -> str:
    """Returns what a person types to train and push a model."""
    return f"{COMMAND} run --local" if _installed() else "make run"


def configuration_file(given: Path | None) -> Path | None:
    """Returns the configuration to read: the given one, or else `pipeline_config.yaml` if it exists here, or None.

    Args:
        given: The argument of `--config`.
    """
    return given or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)


def _installed() -> bool:
    return Path(sys.argv[0]).name == COMMAND


def path(text: str) -> Path:
    """Converts an argument that names a file or folder, as a `type` for `argparse`.

    Args:
        text: The argument.

    Raises:
        argparse.ArgumentTypeError: If the argument is a URL.
    """
    if is_url(text):
        raise argparse.ArgumentTypeError(f"found the URL {text}, expected a local or mounted path")
    return Path(text)


class UsageError(Exception):
    """The command cannot do what was requested: the message says why and what to do."""


def install_extra(extra: str) -> str:
    """Returns a sentence that says how to install an extra of this project.

    Args:
        extra: The extra's name, such as "serve".
    """
    if _installed():
        return f"Install the extra: pip install 'tied-language-model[{extra}]'."
    return f"Install the extra: pip install -c constraints.txt -e '.[{extra}]'."


def quiet_libraries(verbose: bool) -> None:
    """Hides the libraries' logs and warnings, in this process and in its child processes.

    Args:
        verbose: Whether to show them instead.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "3")
    if not verbose:
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        warnings.simplefilter("ignore")
