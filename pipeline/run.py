"""The command `python -m pipeline.run`: `--local` runs the pipeline on this machine; see --help."""

import argparse
import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn, TextIO

from components import standard_error
from pipeline import program
from pipeline.exit_codes import DONE, FAILED, USAGE_ERROR
from pipeline.runner import stopping

# Only the standard library is imported here, so that --help and usage errors are fast.


EPILOG = """\
exit codes: 0 done (pushed, or as far as --until, or not pushed since the model was rolled back before); 1 a component
failed, or a rollback was pushed but not recorded; 2 bad usage or configuration, nothing started; 3 a gate refused the
model, nothing pushed. After 0, 1 and 3 the last line on standard output is the run's summary as JSON; progress and
tables go to standard error."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; exits with 2 and a usage line if it is wrong.

    Args:
        arguments: The words of the command line; by default those of this process.
    """
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if not parsed.local and (parsed.until or not parsed.compile and (parsed.no_cache or parsed.tune)):
        parser.error("--until, --tune and --no-cache go with --local (the last two with --compile, too)")
    if bool(parsed.compile) != bool(parsed.output):
        parser.error("--compile and --output FILE go together")
    if parsed.tune:
        parsed.set.append("tuner.enabled=true")
    for assignment in parsed.set:
        if "=" not in assignment:
            parser.error(f"--set {assignment}: expected KEY=VALUE, such as --set trainer.epochs=3")
    return parsed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program.name("run"),
        description="Trains, evaluates and pushes a language model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--local", action="store_true", help="run the pipeline in this process")
    action.add_argument("--rollback", action="store_true", help="republish the previous version")
    action.add_argument("--list", action="store_true", help="list the runs below pipeline.root")
    action.add_argument("--show", metavar="RUN", help="show a run's components, artifacts and where each came from")
    action.add_argument(
        "--compile", choices=("kubeflow",), help="write the pipeline for Kubeflow Pipelines or Vertex AI to --output"
    )
    parser.add_argument("--output", metavar="FILE", type=program.path, help="file that --compile writes, in YAML")
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=program.path,
        help=f"configuration (default: {program.DEFAULT_CONFIG}, if it exists)",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set a configuration key, such as trainer.epochs=3; wins over the file; may be repeated",
    )
    parser.add_argument("--until", metavar="COMPONENT", help="stop after this component, such as Transform")
    parser.add_argument("--tune", action="store_true", help="search for hyperparameters first: tuner.enabled=true")
    parser.add_argument("--no-cache", action="store_true", help="run every component, even if nothing has changed")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--verbose", action="store_true", help="show tracebacks and the libraries' logs")
    shown.add_argument("--quiet", action="store_true", help="show warnings, errors and the summary alone")
    return parser


@standard_error.for_messages()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
    parsed = parse_arguments(arguments)
    stopping.install()
    program.quiet_libraries(parsed.verbose)
    try:
        with standard_output_for_results(parsed.quiet) as output:
            return run_command(parsed, output)
    except BaseException:
        if stopping.exit_code() is None:
            raise
        print(stopping.message(), file=sys.stderr)
        return stopping.exit_code()


def run_command(parsed: argparse.Namespace, output: TextIO) -> int:
    """Loads the configuration and does what the arguments request.

    Args:
        parsed: The parsed arguments.
        output: Where results are printed.

    Returns:
        The exit code.
    """
    from pipeline import config
    from pipeline.errors import RunnerError

    try:
        configuration = config.load(program.configuration_file(parsed.config), parsed.set)
        from pipeline import commands  # imported late so that configuration errors appear fast

        if parsed.list or parsed.show is not None:
            return _written(lambda: commands.show_history(parsed, configuration, output) or output.flush())
        if parsed.compile:
            return commands.compile_for_kubeflow(parsed, configuration)
        summary = (commands.rollback if parsed.rollback else commands.local)(parsed, configuration)
    except (config.ConfigurationError, RunnerError) as error:
        if parsed.verbose:
            traceback.print_exc()
        print(error, file=sys.stderr)
        return USAGE_ERROR
    _written(lambda: print(json.dumps(summary, allow_nan=False), file=output, flush=True))
    return summary["exit"]  # what the run did does not depend on whether its summary could be written


def _written(write: Callable[[], int | None]) -> int:
    """Returns the exit code of writing results; a reader that has left, such as `head`, is no failure."""
    try:
        return write() or DONE
    except BrokenPipeError:
        return DONE
    except OSError as error:
        print(f"Standard output cannot be written: {error.strerror or error}.", file=sys.stderr)
        return FAILED


@contextlib.contextmanager
def standard_output_for_results(quiet: bool) -> Iterator[TextIO]:
    """Keeps standard output for the command's results.

    What libraries and child processes print there goes to standard error while the context lasts.

    Args:
        quiet: Whether it is dropped instead.

    Yields:
        The real standard output.
    """
    if sys.stdout is None:  # whoever started the command has closed it
        standard_error.open_nowhere(1)
        sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stdout.flush()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")  # a folder's name may be no text
    if quiet:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
    else:
        os.dup2(2, 1)
    before = sys.stdout
    sys.stdout = standard_error.Messages(before)
    try:
        yield output
    finally:
        sys.stdout.flush()
        sys.stdout = before
        os.dup2(output.fileno(), 1)
        with contextlib.suppress(OSError):  # it was reported where it was written
            output.close()


def command(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command and ends the process.

    Args:
        arguments: The words of the command line; by default those of this process.
    """
    stopping.end(main(arguments))


if __name__ == "__main__":
    command()
