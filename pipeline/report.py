"""A run as one self-contained page. The command puts two runs side by side (--compare) or sends one to MLflow."""

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from pipeline import history, lineage_drawing, program, report_comparison, report_sections, trials_section
from pipeline.failures import RunnerError
from pipeline.progress import number

TEMPLATES = Path(__file__).parent / "templates"
USAGE_ERROR = 2
SECTIONS: dict[str, Callable[[report_sections.Artifacts], Any]] = {
    "evaluation": report_sections.evaluation,
    "training": report_sections.training,
    "tuning": trials_section.tuning,
    "predictions": report_sections.predictions,
    "embedding": report_sections.embedding,
    "data": report_sections.data,
}


def write_report(run: Mapping[str, Any], path: Path) -> None:
    """Writes the report of a run that has ended, whatever its end.

    Args:
        run: The run's record: what `LocalRunner.run` returns, with `configuration`, `defaults` and `summary`.
        path: The HTML file to write; its folder exists or can be made.
    """
    artifacts = report_sections.Artifacts(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    sections, unreadable = {}, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matplotlib's, about words in scripts that its own font lacks
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        for name, read in SECTIONS.items():
            try:
                sections[name] = read(artifacts)
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:  # a damaged or foreign artifact
                sections[name] = None
                unreadable.append(f"{name}: {type(error).__name__}: {error}")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            outcome=outcome(run),
            headline=headline(run),
            configuration=report_sections.configuration(run),
            lineage=lineage_drawing.draw(run["components"], _source(run), _pushed(run)),
            unreadable=unreadable,
            **sections,
        )
    )
    path.write_text(page, encoding="utf-8")


def write_comparison(first: Mapping[str, Any], second: Mapping[str, Any], path: Path) -> None:
    """Writes a page that shows two runs (records, as `write_report` takes them) side by side."""
    runs = (first, second)
    page = (
        _environment()
        .get_template("comparison.html.j2")
        .render(runs=runs, outcomes=[outcome(run) for run in runs], **report_comparison.compare(first, second))
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog=program.name("report"), description="Puts two runs side by side, or sends one to MLflow."
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--compare",
        nargs=2,
        metavar=("RUN_A", "RUN_B"),
        help=f"two runs: their ids, the unmistakable beginnings of them, or latest ({program.name('run')} --list)",
    )
    action.add_argument("--publish", metavar="RUN", help="send MLflow what it does not have of a run")
    parser.add_argument("--root", type=Path, default=Path("output"), help="pipeline.root of the runs (default: output)")
    parser.add_argument("--output", type=Path, help="HTML file to write (default: beside the report of RUN_B)")
    parser.add_argument(
        "--mlflow-uri", metavar="URI", help="where --publish sends it (default: as the run was tracked)"
    )
    parsed = parser.parse_args(arguments)
    if parsed.publish and parsed.output or parsed.compare and parsed.mlflow_uri:
        parser.error("--output goes with --compare, --mlflow-uri with --publish")
    try:
        if parsed.publish:
            from pipeline.tracking import resending

            print(resending.publish(parsed.root, parsed.publish, parsed.mlflow_uri))
            return 0
        first, second = (history.load_run(parsed.root, run_id) for run_id in parsed.compare)
        path = parsed.output or report_comparison.default_path(parsed.root, first["run_id"], second["run_id"])
        write_comparison(first, second, path)
    except (RunnerError, OSError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    print(path)
    return 0


def outcome(run: Mapping[str, Any]) -> str:
    """The run's end in a few words."""
    if run["exit"] == 0:
        version = _figures(run, "Pusher").get("version")
        if version is not None:
            return f"Pushed version {version}"
        last = next((c["name"] for c in reversed(run["components"]) if c["status"] != "skipped"), None)
        return f"Done as far as {last}" if last else "Done"
    return {1: "Failed", 3: "Refused: nothing pushed"}.get(run["exit"], "Interrupted")


def headline(run: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The figures to see first: (what, value, remark)."""
    summary, evaluator, trainer = run.get("summary", {}), _figures(run, "Evaluator"), _figures(run, "Trainer")
    rows = [
        ("validation perplexity", summary.get("valid_perplexity"),
         _remark("unigram", evaluator.get("unigram_valid_perplexity"))),
        ("test perplexity", summary.get("test_perplexity"),
         _remark("unigram", evaluator.get("unigram_test_perplexity"))),
        ("bits per character", evaluator.get("valid_bits_per_character"), "validation"),
        ("top-1 accuracy", evaluator.get("valid_top_1_accuracy"), "validation"),
        ("best epoch", trainer.get("best_epoch"), _remark("of", trainer.get("epochs"))),
        ("training tokens/s", summary.get("train_tokens_per_second"),
         _remark("replicas", summary.get("replicas"))),
        ("seconds", run.get("seconds"), ""),
    ]  # fmt: skip
    return [(what, percent(value) if what.endswith("accuracy") else number(value), remark)
            for what, value, remark in rows if value is not None]  # fmt: skip


def _remark(word: str, value: Any) -> str:
    return "" if value is None else f"{word} {number(value)}"


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal."""
    return "–" if share is None else f"{share:.1%}"


def _figures(run: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((component["figures"] for component in run["components"] if component["name"] == name), {})


def _source(run: Mapping[str, Any]) -> str:
    values = run.get("configuration", {})
    place = values.get("example_gen.data_dir")
    return f"{values.get('example_gen.dataset', 'source')}{f' in {place}' if place else ''}"


def _pushed(run: Mapping[str, Any]) -> str | None:
    version = _figures(run, "Pusher").get("version")
    return None if version is None else f"version {version}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": lambda value: "–" if value is None else number(value), "percent": percent}
    return environment


if __name__ == "__main__":
    sys.exit(main())
