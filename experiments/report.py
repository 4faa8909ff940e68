"""Writes a table's results: compared with published ones, learning curves, next words (`make results`).

The table's page gets the tables between its two marks; `<table>/curves_<size>.svg` and `<table>/results.html`, a page
that needs no other file, show the curves. Every figure is from `<table>/results.json`, or from `next_words.json`, which
is computed again if the models exist below `--roots`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from experiments import curves, next_words, published, rows
from experiments.records import Records, RecordsError
from models import files
from pipeline.exit_codes import DONE, USAGE_ERROR

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results: written by `make results` -->", "<!-- end of results -->"
SHOWN_EPOCHS = (1, 2, 4, 7, 10, 15, 20, 25, 30, 40, 50, 60)
Table = list[list[str]]  # the first row is the head


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.

    Raises:
        OSError: If a table, a picture or the page cannot be written.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments.report", description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=rows.TABLE, help="folder of rows (default experiments/ptb)")
    parser.add_argument(
        "--readme", type=Path, help="page to write into (default experiments/README.md; README.md of another table)"
    )
    parser.add_argument("--roots", type=Path, help="folder of the runs' roots (default that of experiments.run)")
    parsed = parser.parse_args(arguments)
    readme = parsed.readme or (README if rows.is_default(parsed.table) else parsed.table / "README.md")
    try:
        runs = Records(parsed.table).runs()
        if not runs:
            raise RecordsError(f"{parsed.table} has no run yet. Start one: {_command('NAME', parsed.table)}.")
        before, _, rest = (readme.read_text(encoding="utf-8") if readme.exists() else "").partition(BEGIN)
        if END not in rest:
            raise RecordsError(f"{readme} lacks the lines {BEGIN} and {END}, between which the tables go.")
        comparison = next_words.refresh(parsed.table, runs, parsed.roots or rows.roots(parsed.table))
    except (RecordsError, OSError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    drawn = {size: curves.draw(trained, f"{_corpora(trained)}, {size}") for size, trained in by_size(runs).items()}
    for size, svg in drawn.items():
        files.write_text(parsed.table / f"curves_{size}.svg", svg)
    pictures = [parsed.table.absolute() / f"curves_{size}.svg" for size in drawn]
    shown = [os.path.relpath(picture, readme.parent.absolute()) for picture in pictures]
    text = markdown(parsed.table, runs, comparison, shown)
    files.write_text(readme, f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    files.write_text(parsed.table / "results.html", page(runs, comparison, drawn))
    print(text)
    return DONE


def by_size(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Groups the runs that have trained by the first part of their names: small, medium, ...

    Args:
        runs: The table's runs.
    """
    trained = [run for run in runs if run["epochs"]]
    sizes = dict.fromkeys(run["name"].split("_")[0] for run in trained)
    return {size: [run for run in trained if run["name"].split("_")[0] == size] for size in sizes}


def _corpora(runs: Sequence[dict[str, Any]]) -> str:
    datasets = dict.fromkeys(map(published.corpus, runs))
    return " and ".join(published.TITLES.get(dataset, dataset) for dataset in datasets)


def measured(runs: Sequence[dict[str, Any]]) -> Table:
    """Makes the table of results, in the order of the paper, with mean ± standard deviation of a row's finished seeds.

    Args:
        runs: The table's runs.
    """
    head = ["row", "seed", "published valid / test", "valid", "test", "test to published", "below KN-5"]
    table = [[*head, "cache valid / test", "dynamic valid / test", "epochs", "hours", "status", "machine", "commit"]]
    count_model = next((run["test_perplexity"] for run in runs if run["name"] == published.COUNT_MODEL), None)
    for name in sorted({run["name"] for run in runs}, key=lambda name: _order(name)):
        own = [run for run in runs if run["name"] == name]
        table += [_measured_row(run, count_model) for run in own]
        finished = [run for run in own if run["status"] == "finished"]
        if len(finished) > 1:
            figures = {key: [run[key] for run in finished] for key in ("valid_perplexity", "test_perplexity", "hours")}
            average = {key: mean(values) for key, values in figures.items()}
            of_all = {**finished[0], **average, "seed": f"mean of {len(finished)}", "adaptive": {}, "epochs": []}
            row = _measured_row({**of_all, "status": "", "machine": "", "commit": ""}, count_model)
            for column, key in (("valid", "valid_perplexity"), ("test", "test_perplexity")):
                row[table[0].index(column)] += f" ± {stdev(figures[key]):.2f}"
            table.append(row)
    return table


def _measured_row(run: dict[str, Any], count_model: float | None) -> list[str]:
    valid, test = published.perplexities(run)
    found = run["test_perplexity"]
    against = f"{round(found / test - 1, 3) + 0.0:+.1%}" if found and test else ""
    below = f"{1 - found / count_model:.1%}" if found and count_model and run["name"] != published.COUNT_MODEL else ""
    adaptive = [
        " / ".join(_number(run["adaptive"].get(mode, {}).get(split)) for split in ("valid", "test"))
        if mode in run["adaptive"]
        else ""
        for mode in ("cache", "dynamic")
    ]
    return [
        f"`{run['name']}`", str(run["seed"]), f"{_number(valid)} / {_number(test)}" if test else "",
        _number(run["valid_perplexity"]), _number(found), against, below, *adaptive,
        str(len(run["epochs"]) or ""), f"{run['hours']:.2f}", run["status"], run["machine"],
        run["commit"][:7] + ("-modified" if run["commit"].endswith("-modified") else ""),
    ]  # fmt: skip


def _order(name: str) -> tuple:
    row = published.begins_with(name, published.ROWS)
    return (published.ROWS.index(row) if row else len(published.ROWS), name)


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{1 if value >= 10_000 else digits}f}"


def by_epoch(runs: Sequence[dict[str, Any]]) -> Table:
    """Makes the table of perplexities after some epochs, in training (with dropout) and validation.

    Args:
        runs: The table's runs; if none has trained, the table is empty.
    """
    trained = [run for run in runs if run["epochs"]]
    last = max((len(run["epochs"]) for run in trained), default=0)
    shown = [epoch for epoch in SHOWN_EPOCHS if epoch <= last]
    table = [["training / valid after epoch", *map(str, shown), "best"]]
    for run in trained:
        cells = {
            e["epoch"]: f"{_number(e['train_perplexity'], 1)} / {_number(e['valid_perplexity'])}" for e in run["epochs"]
        }
        judged = [epoch for epoch in run["epochs"] if epoch["valid_perplexity"] is not None]
        best = min(judged, key=lambda e: e["valid_perplexity"], default=None)
        name = f"`{run['name']}`, seed {run['seed']}"
        shown_best = f"{best['valid_perplexity']:.2f} ({best['epoch']})" if best else "-"
        table.append([name, *(cells.get(e, "") for e in shown), shown_best])
    return table if trained else []


def table_3(comparison: dict[str, Any]) -> tuple[Table, Table]:
    """Makes two tables: next words of the phrases, and mean probabilities of frequent words, by model.

    Args:
        comparison: The comparison that `next_words.refresh` returns.
    """
    names = [f"`{model['name']}`" for model in comparison["models"]]
    phrases = [["phrase", *names]]
    for item in comparison["phrases"]:
        words_of_models = (", ".join(f"{word} {p:.2f}" for word, p in words) for words in item["words"])
        phrases.append([f"{item['phrase']} …", *words_of_models])
    means = [["mean probability", "share of the text", *names]]
    for word, shares in comparison["mean_probability"].items():
        means.append([f"`{word}`", f"{shares['in_text']:.4f}", *(f"{value:.4f}" for value in shares["models"])])
    return phrases, means


def _command(name: str, table: Path) -> str:
    own = "" if rows.is_default(table) else f" TABLE={table}"
    return f"make experiment NAME={name} SEED=<seed> DATA_DIR=FOLDER{own}"


def markdown(
    table: Path, runs: Sequence[dict[str, Any]], comparison: dict[str, Any] | None, pictures: Sequence[str]
) -> str:
    """Writes all tables as Markdown.

    Args:
        table: The table's folder.
        runs: The table's runs.
        comparison: The comparison that `next_words.refresh` returns, or None.
        pictures: Paths of the curves' files.
    """
    has_count_model = any(published.begins_with(run["name"], [published.COUNT_MODEL]) for run in runs)
    sentences = [
        f"Each row: `{_command('<row>', table)}`.",
        "The count model: `python -m experiments.kneser_ney --data-dir FOLDER` (`--discounts 1`)."
        if has_count_model
        else "",
        "Valid and test are those of the epoch with the lowest valid perplexity, in training the lowest so far; ± is "
        "the standard deviation over the seeds.",
        "Published: Inan et al. 2017" + ("; for the count model, Mikolov's KN5." if has_count_model else "."),
        "Variants of a row are measured against that row.",
    ]
    parts = [" ".join(filter(None, sentences)), _as_markdown(measured(runs))]
    epochs = by_epoch(runs)
    parts += [_as_markdown(epochs)] if epochs else []
    parts += [f"![Perplexity by epoch]({picture})" for picture in pictures]
    if comparison:
        parts += ["### Next words (Table 3 of the paper)", *map(_as_markdown, table_3(comparison))]
    return "\n\n".join(["", *parts, ""])


def _as_markdown(table: Table) -> str:
    cells = [[_literal(cell) for cell in row] for row in table]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "| " + " | ".join(["---"] * len(cells[0])) + " |", *lines[1:]])


def _literal(cell: str) -> str:
    """Escapes `<unk>` and `|` for Markdown; text between backticks needs no escape."""
    return cell if "`" in cell else cell.replace("<", "&lt;").replace("|", "\\|")


def page(runs: Sequence[dict[str, Any]], comparison: dict[str, Any] | None, drawn: dict[str, str]) -> str:
    """Writes all tables and curves as one HTML page that loads nothing.

    Args:
        runs: The table's runs.
        comparison: The comparison that `next_words.refresh` returns, or None.
        drawn: Size -> SVG file's text.
    """
    tables = [measured(runs), by_epoch(runs), *(table_3(comparison) if comparison else ())]
    figures = [svg[svg.index("<svg") :] for svg in drawn.values()]
    parts = [_as_html(tables[0]), *(f"<figure>{svg}</figure>" for svg in figures), *map(_as_html, tables[1:])]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Results</title>\n'
        "<style>body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em}"
        "table{border-collapse:collapse;display:block;overflow-x:auto;margin:1em 0}"
        "th,td{border-bottom:1px solid #ccc;padding:.3em .6em;text-align:left;vertical-align:top}"
        "svg{max-width:100%;height:auto}</style>\n<h1>Results</h1>\n" + "\n".join(parts) + "\n</html>\n"
    )


def _as_html(table: Table) -> str:
    if not table:
        return ""
    head, *body = [[escape(cell.replace("`", "")) for cell in row] for row in table]
    lines = [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in body]
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>\n" + "\n".join(lines) + "</table>"


if __name__ == "__main__":
    sys.exit(main())
