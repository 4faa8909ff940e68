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
        figure: The measurement; None where it was left out.
        unit: Of figure and goal, such as "s".
        goal: The bound that the figure should keep; None where there is none.
        direction: "at most" or "at least" the goal.
        note: What a reader should know, such as why it was left out.
    """

    name: str
    figure: float | None
    unit: str = ""
    goal: float | None = None
    direction: str = "at most"
    note: str = ""

    @property
    def verdict(self) -> str:
        """`met` or `NOT MET`; `skipped` without a figure, empty without a goal."""
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
        """The row as JSON."""
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
    """Digits after the point that a figure is printed with: about four that count."""
    return 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that the benchmarks on the Penn Treebank share."""
    parser.add_argument(
        "--data-dir", type=Path, default=Path("../shared/data/ptb"), help="folder of ptb.{train,valid,test}.txt"
    )
    parser.add_argument("--output", type=Path, help="JSON file for the figures")


def skipped(name: str, data_dir: Path) -> list[Row]:
    """The row in place of what needs the Penn Treebank where it is missing; none where it is there."""
    absent = [path for path in TREEBANK if not (data_dir / path).is_file()]
    return [Row(name, None, note=f"--data-dir {data_dir} has no {', '.join(absent)}")] if absent else []


def publish(rows: Iterable[Row], output: Path | None, **others: Any) -> None:
    """Prints each row as it comes, and writes all of them with the machine's description.

    Args:
        rows: The rows; a generator is measured as it is printed.
        output: The JSON file, whose folder is made where it is missing; None for none.
        **others: More to keep in the file.
    """
    kept = []
    for row in rows:
        print(row, flush=True)
        kept.append(row.record())
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"machine": describe(), "rows": kept, **others}, indent=2) + "\n")
