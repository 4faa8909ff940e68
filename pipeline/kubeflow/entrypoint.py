"""Runs one component in a container: `python -m pipeline.kubeflow.entrypoint COMPONENT`, as compiled pipelines do."""

import argparse
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pydantic

import pipeline.pipeline  # noqa: F401 (imports every component of the pipeline)
from components import standard_error
from components.base import Channel, Component, ComponentError, Context
from pipeline import program
from pipeline.errors import describe
from pipeline.exit_codes import DONE, FAILED
from pipeline.runner import artifact_files, stopping
from pipeline.runner.code_digest import code_digest


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line; exits with 2 and a usage line if it is wrong.

    Args:
        arguments: The words of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.kubeflow.entrypoint", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    known = {kind.__name__: kind for kind in Component.__subclasses__()}
    parser.add_argument("component", choices=known, help="name of the component")
    parser.add_argument("--parameters", metavar="JSON", required=True, help="its parameters")
    parser.add_argument("--set", metavar=("NAME", "VALUE"), nargs=2, action="append", default=[],
                        help="a parameter that the run sets; wins over --parameters")  # fmt: skip
    parser.add_argument("--input", metavar=("KEY", "FOLDER"), nargs=2, action="append", default=[],
                        help="where an input is")  # fmt: skip
    parser.add_argument("--output", metavar=("KEY", "FOLDER", "URI"), nargs=3, action="append", default=[],
                        help="where an output belongs, and the engine's name for that place")  # fmt: skip
    parser.add_argument("--record", metavar="FILE", type=Path, required=True, help="file for KFP's ExecutorOutput")
    parser.add_argument("--verdict", metavar="FILE", type=Path, help="file for a gate's verdict: true or false")
    parser.add_argument("--workspace", metavar="FOLDER", type=Path, help="folder that survives a failed attempt")
    parser.add_argument("--run-id", metavar="NAME", required=True, help="identifies the run")
    parser.add_argument("--code", metavar="DIGEST", help="digest of the code that the pipeline was compiled from")
    parsed = parser.parse_args(arguments)
    parsed.component = known[parsed.component]
    return parsed


@standard_error.for_messages()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the component and prints its figures as the last line on standard output.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
    parsed = parse_arguments(arguments)
    stopping.install()
    program.quiet_libraries(verbose=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        print(json.dumps(run(parsed), allow_nan=False), flush=True)
        return DONE
    except ComponentError as error:
        print(f"{parsed.component.__name__}: {error}", file=sys.stderr)
        return FAILED
    except Exception as error:
        stopping.check()
        logging.exception("%s: %s", parsed.component.__name__, describe(error, Path.cwd()))
        return FAILED
    except BaseException:
        if stopping.exit_code() is None:
            raise
        return stopping.exit_code()


def run(parsed: argparse.Namespace) -> dict[str, Any]:
    """Runs the component on the given folders, and writes KFP's record and the verdict.

    Args:
        parsed: The parsed arguments.

    Returns:
        The component's figures.

    Raises:
        ComponentError: If the image has other code than the pipeline, a parameter is wrong, or the component fails.
    """
    kind = parsed.component
    if parsed.code and parsed.code != code_digest(kind):
        raise ComponentError(
            "this image has other code than the one that the pipeline was compiled from. Build and push the image "
            "again from the same checkout, or compile the pipeline again, so that both are of one version."
        )
    inputs = {key: Path(folder) for key, folder in parsed.input}
    outputs = {key: Path(folder) for key, folder, _ in parsed.output}
    types = {key.rstrip("?"): artifact_type for key, artifact_type in kind.INPUTS.items()}
    channels = {key: Channel("", key, types.get(key, "")) for key in inputs}
    component = kind(parameters(kind, parsed.parameters, parsed.set), **channels)
    for folder in outputs.values():
        shutil.rmtree(folder, ignore_errors=True)  # removes what a failed attempt left there
        folder.mkdir(parents=True)
    component.external_state(inputs)  # raises where files outside the inputs are missing
    with tempfile.TemporaryDirectory() as scratch:
        workspace = parsed.workspace or Path(scratch)
        workspace.mkdir(parents=True, exist_ok=True)
        context = Context(parsed.run_id, workspace, progress=False)
        figures = artifact_files.as_json(component.execute(inputs, outputs, context) or {})
    if parsed.workspace:
        artifact_files.remove(parsed.workspace)
    if parsed.verdict:
        _write(parsed.verdict, figures[kind.GATE])
    known = {name: figure for name, figure in figures.items() if figure is not None}  # KFP's metadata have no null
    artifacts = {key: [{"name": key, "uri": uri, "metadata": known}] for key, _, uri in parsed.output}
    _write(parsed.record, {"artifacts": {key: {"artifacts": of_key} for key, of_key in artifacts.items()}})
    return figures


def _write(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")


def parameters(kind: type[Component], compiled: str, given: Sequence[tuple[str, str]]) -> pydantic.BaseModel:
    """Combines the compiled parameters with those that the run sets.

    Args:
        kind: The component's class.
        compiled: The compiled parameters, in JSON.
        given: (name, text) of each parameter that the run sets.

    Raises:
        ComponentError: If a value is wrong.
    """
    values = json.loads(compiled)
    try:
        for name, text in given:
            field = pydantic.TypeAdapter(kind.Parameters.model_fields[name].annotation)
            values[name] = None if text == "null" else field.dump_python(field.validate_strings(text), mode="json")
        return kind.Parameters.model_validate_json(json.dumps(values))
    except pydantic.ValidationError as error:
        raise ComponentError(f"the run's parameters cannot be used: {error}") from error


def command(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the component and ends the process.

    Args:
        arguments: The words of the command line; by default those of this process.
    """
    stopping.end(main(arguments))


if __name__ == "__main__":
    command()
