"""How the commands name themselves: `tied-lm run` where the package is installed, else `python -m pipeline.run`."""

import sys
from pathlib import Path

COMMAND = "tied-lm"


def name(subcommand: str) -> str:
    """What a person types to get the subcommand, such as "run"."""
    return f"{COMMAND} {subcommand}" if _installed() else f"python -m pipeline.{subcommand}"


def main_job() -> str:
    """What a person types to train and push a model."""
    return f"{COMMAND} run --local" if _installed() else "make run"


def _installed() -> bool:
    return Path(sys.argv[0]).name == COMMAND
