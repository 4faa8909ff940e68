"""Where a progress bar can be drawn."""

import io

import pytest
from rich.console import Console

from components.terminal import can_redraw, make_console


@pytest.mark.parametrize(
    ("terminal", "term", "expected"),
    [(True, "xterm", True), (True, "xterm-256color", True), (True, "xterm-color", False), (False, "xterm", False)],
)
def test_bars_are_drawn_in_a_terminal_but_not_in_a_notebook(monkeypatch, terminal, term, expected):
    monkeypatch.setenv("TERM", term)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert can_redraw(Console(file=io.StringIO(), force_terminal=terminal)) is expected


def test_a_pipe_has_lines_of_80_characters_or_of_160_and_a_terminal_its_own(monkeypatch):
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    text = " ".join(["word"] * 40)
    for options, longest in (({}, 79), ({"wide_pipe": True}, 159), ({"soft_wrap": True}, 199)):
        pipe = io.StringIO()
        make_console(pipe, **options).print(text)
        assert max(len(line.rstrip()) for line in pipe.getvalue().splitlines()) == longest
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    assert make_console(screen, wide_pipe=True).width == 100


def test_the_console_is_standard_error_unless_another_output_is_named(capsys):
    make_console().print("12 words")
    make_console(quiet=True).print("nothing")
    assert capsys.readouterr() == ("", "12 words\n")


def test_text_is_printed_as_it_is(capsys):
    make_console(wide_pipe=True).print("/data/:100:/a:key:b", markup=False)
    assert capsys.readouterr().err == "/data/:100:/a:key:b\n"
