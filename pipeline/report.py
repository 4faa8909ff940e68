"""Compares two runs (--compare), lists all runs on a page (--all), or sends one to MLflow (--publish)."""

import argparse
import sys
from pathlib import Path

from components.base import ComponentError
from pipeline import program
from pipeline.errors import RunnerError
from pipeline.exit_codes import DONE, USAGE_ERROR
from pipeline.reporting import all_runs, comparison, history, page


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
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
    parsed = parser.parse_args(arguments)
    if parsed.publish and parsed.output or not parsed.publish and parsed.mlflow_uri:
        parser.error("--output goes with --compare and --all, --mlflow-uri with --publish")
    try:
        if parsed.publish:
            from pipeline.tracking import resending

            print(resending.publish(parsed.root, parsed.publish, parsed.mlflow_uri))
            return DONE
        if parsed.all:
            path = parsed.output or parsed.root / "runs" / "index.html"
            all_runs.write(parsed.root, path)
            print(path)
            return DONE
        first, second = (history.load_run(parsed.root, run_id) for run_id in parsed.compare)
        path = parsed.output or comparison.default_path(parsed.root, first["run_id"], second["run_id"])
        page.write_comparison(first, second, path)
    except (RunnerError, ComponentError, OSError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    print(path)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
