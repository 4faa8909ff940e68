"""Compares two runs (--compare), lists all runs on a page (--all), or sends one to MLflow (--publish)."""

import argparse
import sys
from pathlib import Path

from components import standard_error
from components.base import ComponentError
from pipeline import program
from pipeline.errors import RunnerError
from pipeline.exit_codes import DONE, USAGE_ERROR
from pipeline.reporting import all_runs, comparison, history, page


@standard_error.for_messages()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.publish is not None and parsed.output or parsed.publish is None and parsed.mlflow_uri:
        parser.error("--output goes with --compare and --all, --mlflow-uri with --publish")
    try:
        act = _publish if parsed.publish is not None else _list_all if parsed.all else _compare
        print(act(parsed))
    except (RunnerError, ComponentError, OSError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program.name("report"), description="Writes a page of two runs or of all, or sends one to MLflow."
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--compare",
        nargs=2,
        metavar=("RUN_A", "RUN_B"),
        help=f"two runs: their ids, unique prefixes of them, or latest ({program.name('run')} --list)",
    )
    action.add_argument("--all", action="store_true", help="all runs: dates, settings, perplexities, verdicts, links")
    action.add_argument("--publish", metavar="RUN", help="send MLflow what it does not have of a run")
    parser.add_argument(
        "--root", type=program.path, default=Path("output"), help="pipeline.root of the runs (default: output)"
    )
    parser.add_argument(
        "--output",
        type=program.path,
        help="HTML file to write (default: beside the report of RUN_B, or runs/index.html)",
    )
    parser.add_argument(
        "--mlflow-uri", metavar="URI", help="where --publish sends it (default: as the run was tracked)"
    )
    return parser


def _publish(parsed: argparse.Namespace) -> str:
    from pipeline.tracking import resending

    return resending.publish(parsed.root, parsed.publish, parsed.mlflow_uri)


def _list_all(parsed: argparse.Namespace) -> Path:
    path = parsed.output or all_runs.default_path(parsed.root)
    all_runs.write(parsed.root, path)
    return path


def _compare(parsed: argparse.Namespace) -> Path:
    first, second = (history.load_run(parsed.root, run_id) for run_id in parsed.compare)
    path = parsed.output or comparison.default_path(parsed.root, first["run_id"], second["run_id"])
    page.write_comparison(first, second, path)
    return path


if __name__ == "__main__":
    sys.exit(main())
