"""Says whether a progress bar can be drawn on a command's standard error."""

import os

from rich.console import Console

NOTEBOOK = "xterm-color"  # the TERM that Jupyter's kernel gives to the commands of a cell


def can_redraw(console: Console) -> bool:
    """Whether lines can be redrawn in place.

    A notebook gives the commands of a cell (`!command`) a terminal, but shows everything they print, one line below
    the other. A bar would fill the page.

    Args:
        console: The console that would show the bar.
    """
    return console.is_terminal and os.environ.get("TERM") != NOTEBOOK
