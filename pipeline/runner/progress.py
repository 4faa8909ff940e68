"""What a run shows on standard error: a line for each component, then a table of all."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import rich.box
import rich.markup
import rich.table
import rich.text

from components import run_log
from components.number_format import readable
from components.terminal import make_console
from pipeline.runner.record import RunRecord

STYLES = {"executed": "green", "cached": "cyan", "skipped": "dim", "failed": "bold red"}
SHOWN_FIGURES = 6
NAME_WIDTH = 16  # length of the longest component's name
# Names of figures whose keys are unclear; other keys are shown with spaces for underscores.
WORDS = {
    "train_unk_rate": "<unk> in train",
    "eval_unk_rate": "<unk> in eval",
    "test_unk_rate": "<unk> in test",
    "size": "words",
    "coverage": "tokens that they cover",
    "train_tokens_per_second": "training tokens/s",
    "latency_ms": "ms for next words",
    "load_seconds": "seconds to load",
    "valid_bits_per_character": "bits per character",
}
SHARES = ("_rate", "_share", "_accuracy", "coverage")


class RunProgress:
    """Shows steps on standard error.

    Args:
        verbose: Whether tracebacks are shown.
        quiet: Whether only errors are shown; the run's log has the rest.
    """

    def __init__(self, verbose: bool = False, quiet: bool = False):
        self.interactive = sys.stderr.isatty()
        self.console = make_console(soft_wrap=True, wide_pipe=True)  # a log keeps a component's figures on one line
        self._verbose = verbose
        self.quiet = quiet

    def started(self, name: str) -> None:
        """Shows that a component has started.

        Args:
            name: The component's name.
        """
        run_log.write(f"{name} started")
        if not self.quiet:
            self.console.print(f"[bold]{name:<{NAME_WIDTH}}[/bold] [dim]started {time.strftime('%H:%M:%S')}[/dim]")

    def finished(self, name: str, status: str, seconds: float, figures: Mapping[str, Any]) -> None:
        """Shows how a component ended.

        Args:
            name: The component's name.
            status: "executed", "cached" or "failed".
            seconds: How long it took.
            figures: The figures that it returned.
        """
        run_log.write(f"{name} {status} in {seconds:.3f} s  {key_figures(figures)}")
        if self.quiet:
            return
        # A terminal breaks long lines between words; a log keeps each component on one line.
        line = rich.text.Text.assemble(
            (f"{name:<{NAME_WIDTH}}", "bold"),
            " ",
            (status, STYLES[status]),
            f" in {seconds:.1f} s  {key_figures(figures)}",
        )
        self.console.print(line, soft_wrap=not self.interactive)

    def traceback(self, text: str) -> None:
        """Shows a failure's traceback, with --verbose only.

        Args:
            text: The traceback.
        """
        if self._verbose:
            self.console.print(text, markup=False)

    def message(self, text: str, style: str = "") -> None:
        """Shows a line of text literally, without markup.

        Args:
            text: The line.
            style: A style of rich, such as "bold red". A line with a style is shown with --quiet, too.
        """
        run_log.write(text, logging.ERROR if "red" in style else logging.INFO)
        if style or not self.quiet:
            self.console.print(text, style=style, markup=False)

    def table(self, run: RunRecord) -> None:
        """Shows all components of a run: status, seconds, key figures.

        Args:
            run: The run's record.
        """
        if self.quiet:
            return
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
    """Returns the first few plain figures as `name 1.234`: four significant digits, shares as percentages.

    Args:
        figures: The figures that a component returned.
    """
    plain = [(name, value) for name, value in figures.items() if isinstance(value, bool | int | float | str)]
    return ", ".join(f"{label(name)} {figure(name, value)}" for name, value in plain[:SHOWN_FIGURES])


def label(name: str) -> str:
    """Returns a figure's name as people read it.

    Args:
        name: The figure's key.
    """
    return WORDS.get(name, name.replace("_", " "))


def figure(name: str, value: Any) -> str:
    """Returns a figure as people read it; a share is a percentage.

    Args:
        name: The figure's key.
        value: Its value.
    """
    return f"{value:.1%}" if name.endswith(SHARES) and isinstance(value, float) else readable(value)
