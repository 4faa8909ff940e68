"""Where a progress bar can be drawn."""

import io

import pytest
from rich.console import Console

from components.terminal import can_redraw


@pytest.mark.parametrize(
    ("terminal", "term", "expected"),
    [(True, "xterm", True), (True, "xterm-256color", True), (True, "xterm-color", False), (False, "xterm", False)],
)
def test_bars_are_drawn_in_a_terminal_but_not_in_a_notebook(monkeypatch, terminal, term, expected):
    monkeypatch.setenv("TERM", term)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert can_redraw(Console(file=io.StringIO(), force_terminal=terminal)) is expected
