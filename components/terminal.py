"""Whether a progress bar can be drawn where a command's standard error leads."""

import os

from rich.console import Console

NOTEBOOK = "xterm-color"  # the TERM that Jupyter's kernel gives to the commands of a cell


def can_redraw(console: Console) -> bool:
    """Whether lines can be drawn again in place.

    A notebook gives the commands of a cell (`!command`) a terminal, but shows all that they print, one below the
    other: a bar would fill the page.
    """
    return console.is_terminal and os.environ.get("TERM") != NOTEBOOK
