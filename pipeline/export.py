"""Writes a pushed model in another form: `python -m pipeline.export`; see --help."""

import argparse
import importlib.util
import signal
import sys
from pathlib import Path

from components import standard_error
from pipeline import program
from pipeline.exit_codes import DONE, FAILED, INTERRUPTED, REFUSED, TERMINATED, USAGE_ERROR
from pipeline.program import UsageError

# Only the standard library is imported here, so that --help and usage errors are fast.

EPILOG = """\
hub writes what the Hugging Face Hub expects: model.safetensors, config.json, vocab.txt, tokenizer_config.json,
model.keras and README.md, the model card. litert writes model.tflite for devices, vocab.txt, tokenizer_config.json and
README.md; it needs the extra `litert`, and the eval and test splits, which are measured on what was written.
The folder appears once it is complete.
exit codes: 0 done; 1 the folder cannot be written; 2 bad usage or configuration, nothing written; 3 the model for
devices is worse than evaluator.max_regression allows, nothing written; 130 Ctrl-C; 143 SIGTERM."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; exits with 2 and a usage line if it is wrong.

    Args:
        arguments: The words of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(
        prog=program.name("export"),
        description="Writes a pushed model in another form.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--format", choices=("hub", "litert"), required=True, help="what to write")
    parser.add_argument(
        "--output", metavar="DIR", type=program.path, required=True, help="folder to write: new, or empty"
    )
    parser.add_argument("--version", metavar="N", type=int, help="the pushed version (default: the newest)")
    parser.add_argument(
        "--quantize", choices=("int8", "float16"), help="smaller weights; with --format litert (default: float32)"
    )
    parser.add_argument(
        "--tokens",
        metavar="DIR",
        type=program.path,
        help="folder of the splits to measure on, as Transform wrote them (default: those that the model's lineage "
        "names)",
    )
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
        help="set a configuration key, such as pipeline.root=FOLDER; wins over the file; may be repeated",
    )
    parsed = parser.parse_args(arguments)
    if parsed.quantize and parsed.format != "litert":
        parser.error("--quantize goes with --format litert")
    for assignment in parsed.set:
        if "=" not in assignment:
            parser.error(f"--set {assignment}: expected KEY=VALUE, such as --set pipeline.root=FOLDER")
    return parsed


@standard_error.for_messages()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
    parsed = parse_arguments(arguments)
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    program.quiet_libraries(verbose=False)
    try:
        return _export(parsed)
    except UsageError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        reason = f"{error.filename or parsed.output}: {error.strerror or error}"
        print(f"{reason}. Nothing was left in {parsed.output}.", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"Interrupted: nothing was written to {parsed.output}.", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, previous)


def _export(parsed: argparse.Namespace) -> int:
    """Checks everything that can be checked without TensorFlow, then writes; returns the exit code."""
    from components.base import ComponentError
    from components.quiet_import import import_quietly
    from pipeline import config
    from pipeline.errors import Refused, RunnerError
    from pipeline.exporting.pushed_model import find
    from pipeline.runner.artifact_files import staged

    check_output(parsed.output)
    if parsed.format == "litert" and importlib.util.find_spec("ai_edge_litert") is None:
        raise UsageError(f"ai-edge-litert is not installed. {program.install_extra('litert')}")
    try:
        settings = config.load(program.configuration_file(parsed.config), parsed.set).settings
        pushed = find(settings, parsed.version, parsed.tokens)
        writing = import_quietly("pipeline.exporting.writing")
        output = parsed.output.resolve()
        with staged(output.parent, f".{output.name}") as folder:
            if parsed.format == "hub":
                writing.write_hub(pushed, folder)
                what = "in the Hub's layout"
            else:
                writing.write_litert(pushed, folder, parsed.quantize, settings.evaluator.max_regression)
                what = f"for devices, as {parsed.quantize or 'float32'}"
            writing.put_in_place(folder, output, parsed.output, pushed, what)
    except (config.ConfigurationError, RunnerError, ComponentError) as error:
        raise UsageError(str(error)) from error
    except Refused as error:
        print(error, file=sys.stderr)
        return REFUSED
    return DONE


def check_output(output: Path) -> None:
    """Checks that a folder can be written at a path: it does not exist, or is an empty folder.

    Args:
        output: The path that `--output` names.

    Raises:
        UsageError: If there is a file, or a folder that is not empty.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output {output} is a file; expected a new or an empty folder.")
    if output.is_dir() and any(output.iterdir()):
        raise UsageError(f"--output {output} is not empty; nothing in it was changed. Name a new or an empty folder.")


if __name__ == "__main__":
    sys.exit(main())
