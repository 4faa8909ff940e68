"""Makes the consoles that the commands print on, and says whether a progress bar can be drawn on one."""

import os
import sys
from typing import TextIO

from rich.console import Console

NOTEBOOK = "xterm-color"  # the TERM that Jupyter's kernel gives to the commands of a cell
PIPE_WIDTH = 160  # characters in a line of a pipe or a file, which have no width


class _Console(Console):
    """A console whose reader may leave; rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 (rich calls this while it handles BrokenPipeError)


def make_console(
    output: TextIO | None = None, *, soft_wrap: bool = False, wide_pipe: bool = False, quiet: bool = False
) -> Console:
    """Makes a console that prints text as it is, without colours for numbers and names.

    Args:
        output: Where to print. None is standard error.
        soft_wrap: Whether long lines are printed whole, so that the terminal breaks them.
        wide_pipe: Whether lines may have 160 characters where the output is a pipe or a file. Otherwise they have 80
            there.
        quiet: Whether the console prints nothing.
    """
    width = PIPE_WIDTH if wide_pipe and not (output or sys.stderr).isatty() else None
    return _Console(
        file=output, stderr=output is None, highlight=False, emoji=False, soft_wrap=soft_wrap, width=width, quiet=quiet
    )  # fmt: skip


def can_redraw(console: Console) -> bool:
    """Whether lines can be redrawn in place.

    A notebook gives the commands of a cell (`!command`) a terminal, but shows everything they print, one line below
    the other. A bar would fill the page.

    Args:
        console: The console that would show the bar.
    """
    return console.is_terminal and os.environ.get("TERM") != NOTEBOOK
