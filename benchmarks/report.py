"""Rows of a benchmark: figures, each judged by its goal where it has one, as a table and as JSON."""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe

TREEBANK = ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: What was measured.
        figure: The measurement; None if it was skipped.
        unit: Unit of figure and goal, such as "s".
        goal: The bound that the figure should keep; None if there is none.
        direction: "at most" or "at least" the goal.
        note: A remark for readers, such as why it was skipped.
    """

    name: str
    figure: float | None
    unit: str = ""
    goal: float | None = None
    direction: str = "at most"
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the goal is met: `met` or `NOT MET`; `skipped` without a figure, empty without a goal."""
        if self.figure is None:
            return "skipped"
        if self.goal is None:
            return ""
        met = self.figure >= self.goal if self.direction == "at least" else self.figure <= self.goal
        return "met" if met else "NOT MET"

    def __str__(self) -> str:
        figure = "" if self.figure is None else f"{self.figure:,.{decimals(self.figure)}f}"
        goal = "" if self.goal is None else f"{self.direction} {self.goal:,g}"
        return f"{self.name:58} {figure:>10} {self.unit:4}  {goal:16} {self.verdict:8} {self.note}".rstrip()

    def record(self) -> dict[str, Any]:
        """Returns the row as a JSON object."""
        goal = None if self.goal is None else f"{self.direction} {self.goal:g}"
        return {
            "row": self.name,
            "figure": None if self.figure is None else round(self.figure, 4),
            "unit": self.unit,
            "goal": goal,
            "verdict": self.verdict,
            "note": self.note,
        }


def decimals(value: float) -> int:
    """Chooses the digits after the point of a figure, so that about four significant ones are printed.

    Args:
        value: The figure.

    Returns:
        The number of digits after the point.
    """
    return 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that the benchmarks on the Penn Treebank share, `--data-dir` and `--output`.

    Args:
        parser: The parser, which is changed.
    """
    parser.add_argument(
        "--data-dir", type=Path, help="folder of ptb.{train,valid,test}.txt; without it, rows that need it are skipped"
    )
    parser.add_argument("--output", type=Path, help="JSON file for the figures")


def skipped(name: str, data_dir: Path | None) -> list[Row]:
    """Makes the row for a benchmark that is skipped because the Penn Treebank is missing.

    Args:
        name: Name of what is skipped.
        data_dir: Folder that should have the Penn Treebank, or None if the command named none.

    Returns:
        One row that names the missing option or files, or none if all files are there.
    """
    if data_dir is None:
        return [Row(name, None, note="needs the Penn Treebank: --data-dir FOLDER, or DATA_DIR=FOLDER with make")]
    absent = [path for path in TREEBANK if not (data_dir / path).is_file()]
    return [Row(name, None, note=f"--data-dir {data_dir} has no {', '.join(absent)}")] if absent else []


def publish(rows: Iterable[Row], output: Path | None, **others: Any) -> None:
    """Prints each row as it comes, and writes all of them with the machine's description.

    Args:
        rows: The rows; a generator measures each row just before it is printed.
        output: The JSON file, whose folder is made if it is missing; None for no file.
        **others: Further values for the file.
    """
    kept = []
    for row in rows:
        print(row, flush=True)
        kept.append(row.record())
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"machine": describe(), "rows": kept, **others}, indent=2) + "\n")
