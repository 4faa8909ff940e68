"""The installed command `tied-lm`: `python -m pipeline.run`, `serve`, `score`, ... as subcommands, and `init`."""

import argparse
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from pipeline import program
from pipeline.exit_codes import DONE, USAGE_ERROR

# Only the standard library is imported here, so that --help and usage errors are fast.

DISTRIBUTION = "tied-language-model"
CONFIGURATION = Path("pipeline_config.yaml")
SUBCOMMANDS = {
    "run": "train, judge and push a language model",
    "serve": "serve the pushed model over HTTP",
    "score": "score every line of files with the pushed model",
    "report": "put runs side by side",
    "export": "write the pushed model in other formats",
}


def command() -> NoReturn:
    """Runs the installed command with this process's arguments and ends the process."""
    arguments = sys.argv[1:]
    # A subcommand whose module is not installed is not offered.
    modules = {name: f"pipeline.{name}" for name in SUBCOMMANDS if importlib.util.find_spec(f"pipeline.{name}")}
    if arguments and arguments[0] in modules:
        module = importlib.import_module(modules[arguments[0]])
        if hasattr(module, "command"):  # its threads must not keep the process alive
            module.command(arguments[1:])
        sys.exit(module.main(arguments[1:]))
    _parser(modules).parse_args(arguments)  # ends the process unless the subcommand is init
    sys.exit(write_configuration(CONFIGURATION))


def _parser(subcommands: Iterable[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program.COMMAND,
        description="Trains, evaluates, ships and serves word-level language models.",
        epilog=f"`{program.COMMAND} SUBCOMMAND --help` explains each.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {importlib.metadata.version(DISTRIBUTION)}")
    subparsers = parser.add_subparsers(metavar="SUBCOMMAND", required=True)
    for name in subcommands:
        subparsers.add_parser(name, help=SUBCOMMANDS[name])
    subparsers.add_parser("init", help=f"write a commented {CONFIGURATION} into this folder")
    return parser


def write_configuration(path: Path) -> int:
    """Writes the shipped configuration, which holds the defaults. An existing file is left unchanged.

    Args:
        path: The file to create.

    Returns:
        The exit code: 2 if the file exists or cannot be written.
    """
    content = Path(__file__).with_name("pipeline_config.yaml").read_bytes()
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        print(f"{path} exists already and was not changed. Rename or remove it first.", file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        path.unlink(missing_ok=True)
        print(f"{path} cannot be written: {error.strerror}. Choose another folder.", file=sys.stderr)
        return USAGE_ERROR
    print(f"{path} has every key with its meaning and default. Next: {program.name('run')} --local")
    return DONE
