"""What a run shows on standard error: a line a component, then a table of all."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import rich.box
import rich.console
import rich.markup
import rich.table

from components import run_log
from pipeline.runner.record import RunRecord

STYLES = {"executed": "green", "cached": "cyan", "skipped": "dim", "failed": "bold red"}
SHOWN_FIGURES = 6


class Progress:
    """Shows steps on standard error.

    Args:
        verbose: Whether tracebacks are shown.
    """

    def __init__(self, verbose: bool = False):
        self.interactive = sys.stderr.isatty()
        # A pipe has no width of its own: wide enough that a component's figures stay on a line.
        width = None if self.interactive else 160
        self.console = rich.console.Console(stderr=True, highlight=False, soft_wrap=True, width=width)
        self._verbose = verbose

    def started(self, name: str) -> None:
        """A component begins its work."""
        run_log.write(f"{name} started")
        self.console.print(f"[bold]{name}[/bold] [dim]started {time.strftime('%H:%M:%S')}[/dim]")

    def finished(self, name: str, status: str, seconds: float, figures: Mapping[str, Any]) -> None:
        """What became of it."""
        run_log.write(f"{name} {status} in {seconds:.3f} s  {key_figures(figures)}")
        style = STYLES[status]
        self.console.print(f"[bold]{name}[/bold] [{style}]{status}[/{style}] in {seconds:.1f} s  ", end="")
        self.console.print(key_figures(figures), markup=False)

    def traceback(self, text: str) -> None:
        """A failure's traceback, for who asked for it."""
        if self._verbose:
            self.console.print(text, markup=False)

    def message(self, text: str, style: str = "") -> None:
        """A line of text, taken literally."""
        run_log.write(text, logging.ERROR if "red" in style else logging.INFO)
        self.console.print(text, style=style, markup=False)

    def table(self, run: RunRecord) -> None:
        """All components of a run: status, seconds, key figures."""
        table = rich.table.Table(title=f"Run {run['run_id']}", title_justify="left", box=rich.box.SIMPLE_HEAD)
        table.add_column("component", no_wrap=True)
        table.add_column("status", no_wrap=True)
        table.add_column("seconds", justify="right", no_wrap=True)
        table.add_column("key figures", overflow="fold")
        for step in run["components"]:
            status = f"[{STYLES[step['status']]}]{step['status']}"
            seconds = "" if step["status"] == "skipped" else f"{step['seconds']:.1f}"
            table.add_row(step["name"], status, seconds, rich.markup.escape(key_figures(step["figures"])))
        self.console.print(table, soft_wrap=False)


def key_figures(figures: Mapping[str, Any]) -> str:
    """The first few plain figures as `name 1.234`, four significant digits each."""
    plain = [(name, value) for name, value in figures.items() if isinstance(value, bool | int | float | str)]
    return ", ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in plain[:SHOWN_FIGURES])


def number(value: Any) -> str:
    """A figure for people: thousands separated, four significant digits, yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"
    return str(value)
