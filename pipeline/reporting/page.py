"""Writes a run, or two side by side, as one self-contained HTML page."""

import base64
import hashlib
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from components.base import ComponentError
from components.number_format import readable
from models import files
from pipeline.exit_codes import DONE, FAILED, REFUSED
from pipeline.reporting import comparison, lineage_drawing, search, sections
from pipeline.runner.progress import figure, label
from pipeline.runner.record import RunRecord, pushed_version

TEMPLATES = Path(__file__).parent / "templates"
SECTIONS: dict[str, Callable[[sections.RunArtifacts], Any]] = {
    "evaluation": sections.evaluation,
    "training": sections.training,
    "tuning": search.tuning,
    "predictions": sections.predictions,
    "embedding": sections.embedding,
    "data": sections.data,
}


def write_report(run: RunRecord, path: Path) -> None:
    """Writes the report of a run that has ended, whether it failed or not.

    Sections whose artifacts cannot be read are listed at the end of the page.

    Args:
        run: The run's record.
        path: The HTML file to write; its folder is made if needed.

    Raises:
        OSError: If the file cannot be written.
    """
    artifacts = sections.RunArtifacts(run)
    contents, unreadable = {}, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matplotlib warns of words in scripts that its font lacks
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        for name, read in SECTIONS.items():
            try:
                contents[name] = read(artifacts)
            # The artifact is damaged, or its contents contradict each other.
            except (ComponentError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
                contents[name] = None
                kind = "" if isinstance(error, ComponentError) else f"{type(error).__name__}: "
                unreadable.append(f"{name}: {kind}{error}")
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            outcome=outcome(run),
            not_pushed=_not_pushed(run),
            headline=headline(run),
            configuration=sections.configuration(run),
            lineage=lineage_drawing.draw(run["components"], _source(run), _pushed(run)),
            unreadable=unreadable,
            **contents,
        )
    )
    write(path, page)


def write_comparison(first: RunRecord, second: RunRecord, path: Path) -> None:
    """Writes a page that shows two runs side by side.

    Args:
        first: A run's record.
        second: Another run's record.
        path: The HTML file to write; its folder is made if needed.

    Raises:
        ComponentError: If an artifact of a run is damaged.
        OSError: If the file cannot be written.
    """
    runs = (first, second)
    page = (
        environment()
        .get_template("comparison.html.j2")
        .render(runs=runs, outcomes=[outcome(run) for run in runs], **comparison.compare(first, second))
    )
    write(path, page)


def write(path: Path, page: str) -> None:
    """Writes a page; its folder is made.

    Args:
        path: The HTML file.
        page: Its text. Bytes in names of files that are not UTF-8 are written as escapes.

    Raises:
        OSError: If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, page.encode("utf-8", "backslashreplace").decode())


def outcome(run: RunRecord) -> str:
    """Returns how a run ended, in a few words.

    Args:
        run: The run's record.
    """
    if run["exit"] == DONE:
        version = pushed_version(run)
        if version is not None:
            return f"Pushed version {version}"
        if _not_pushed(run):
            return "Done, nothing pushed: the model was rolled back before"
        last = next((c["name"] for c in reversed(run["components"]) if c["status"] != "skipped"), None)
        return f"Done as far as {last}" if last else "Done"
    return {FAILED: "Failed", REFUSED: "Refused: nothing pushed"}.get(run["exit"], "Interrupted")


def headline(run: RunRecord) -> list[tuple[str, str, str]]:
    """Returns the figures at the top of the report.

    Args:
        run: The run's record.

    Returns:
        (name, value, remark) of each.
    """
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
    return [(what, percent(value) if what.endswith("accuracy") else readable(value), remark)
            for what, value, remark in rows if value is not None]  # fmt: skip


def _remark(word: str, value: Any) -> str:
    return "" if value is None else f"{word} {readable(value)}"


def percent(share: float | None) -> str:
    """Returns a share as a percentage with one decimal, or a dash for None.

    Args:
        share: A share from 0 to 1, or None if it is not known.
    """
    return "–" if share is None else f"{share:.1%}"


def _figures(run: RunRecord, name: str) -> Mapping[str, Any]:
    return next((component["figures"] for component in run["components"] if component["name"] == name), {})


def _not_pushed(run: RunRecord) -> str | None:
    """Returns the Pusher's reason for not pushing a blessed model, if there is one."""
    return _figures(run, "Pusher").get("warning")


def _source(run: RunRecord) -> str:
    values = run.get("configuration", {})
    place = values.get("example_gen.data_dir")
    return f"{values.get('example_gen.dataset', 'source')}{f' in {place}' if place else ''}"


def _pushed(run: RunRecord) -> str | None:
    version = pushed_version(run)
    return None if version is None else f"version {version}"


def environment() -> jinja2.Environment:
    """Returns the templates' environment, with the filters `number`, `percent`, `label` and `figure`.

    A page's policy names the digest of the script that sorts tables. The page runs no other script, whatever texts the
    runs hold.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": lambda value: "–" if value is None else readable(value), "percent": percent}
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {"sort_script": script, "sort_digest": digest}
    environment.filters |= {"label": label, "figure": figure}
    return environment
