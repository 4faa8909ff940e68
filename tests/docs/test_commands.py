"""The commands of the documents: their modules and targets exist, and the real parsers accept their arguments."""

import argparse
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", "experiments/README.md"]
COMMAND = re.compile(r"(?:\.venv/bin/)?(python -m|make) +([\w.-]+)([^#]*)(#.*)?")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4,}(.*)$", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
OWN = ("pipeline", "components", "models", "experiments", "benchmarks", "tests")
PLACEHOLDERS = {"FOLDER": ".", "<row>": "small_re", "<seed>": "1"}


class Accepted(Exception):
    """A parser accepted its arguments: raised in place of running the command."""


def commands_of(text: str) -> list[tuple[str, ...]]:
    """Finds the commands in a page's blocks and spans of code.

    Args:
        text: The page, in Markdown.

    Returns:
        ("python -m" or "make", module or target, arguments, comment or "") of each command.
    """
    text = re.sub(r"\\\n\s*", " ", text)
    prose = FENCED.sub("", text)
    lines = [line for block in FENCED.findall(text) for line in block.splitlines()] + INDENTED.findall(prose)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", INDENTED.sub("", prose))]
    found = [COMMAND.fullmatch(code.strip()) for code in lines + spans]
    return [match.groups(default="") for match in found if match]


def check_module(module: str, arguments: list[str], comment: str, monkeypatch) -> None:
    """Lets a module's own parser read arguments, and checks that it has the options that a comment names.

    Args:
        module: The module's name, as after `python -m`.
        arguments: The words after it.
        comment: Text that may name further options.
        monkeypatch: The fixture.
    """
    assert importlib.util.find_spec(module), module
    if module.partition(".")[0] not in OWN:
        return
    command = importlib.import_module(module)
    if hasattr(command, "parse_arguments"):
        command.parse_arguments(arguments)  # checks more than its parser does
    parse = argparse.ArgumentParser.parse_args

    def parse_only(parser, words=None, namespace=None):
        parse(parser, words, namespace)
        raise Accepted(parser.format_help())

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
        patch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(Accepted) as accepted:
            command.main()
    for option in OPTION.findall(comment):
        assert option in str(accepted.value), f"{module} {option}"


def check_target(target: str, variables: list[str], monkeypatch) -> None:
    """Checks that the Makefile has a target and uses the variables, and the commands that the target would run.

    Args:
        target: The target.
        variables: Assignments, NAME=VALUE.
        monkeypatch: The fixture.
    """
    done = subprocess.run(["make", "-n", target, *variables], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for variable in variables:
        assert f"$({variable.partition('=')[0]})" in (REPOSITORY / "Makefile").read_text(), variable
    if target == "experiment" and not variables:
        return  # the text names the target alone, which needs variables
    for line in done.stdout.splitlines():
        match = re.match(r"\S*/python -m (\S+)(.*)", line)
        if match and match[1].partition(".")[0] in OWN:  # pip, pytest and others are not this project's
            check_module(match[1], shlex.split(match[2]), "", monkeypatch)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_accepted(page, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    commands = commands_of((REPOSITORY / page).read_text(encoding="utf-8"))
    assert len(commands) >= 5
    for kind, name, arguments, comment in commands:
        for placeholder, value in PLACEHOLDERS.items():
            arguments = arguments.replace(placeholder, value)
        words = shlex.split(arguments)
        if kind == "make":
            check_target(name, words, monkeypatch)
        else:
            check_module(name, words, comment, monkeypatch)
            assert all(Path(word).exists() for word in words if word.startswith("tests/")), words


@pytest.mark.parametrize(
    "text",
    [
        "    python -m pipeline.run --locall",
        "    python -m pipeline.run --until Trainer",
        "`python -m pipeline.report --compare RUN`",
        "```\npython -m experiments.run\n```",
    ],
)
def test_a_command_with_wrong_arguments_is_found(text, monkeypatch, capsys):
    [(_, module, arguments, _)] = commands_of(text)
    with pytest.raises(SystemExit):
        check_module(module, shlex.split(arguments), "", monkeypatch)
    assert "usage: " in capsys.readouterr().err


def test_a_module_a_target_a_variable_or_an_option_that_does_not_exist_is_found(monkeypatch):
    with pytest.raises(AssertionError, match="pipeline.runs"):
        check_module("pipeline.runs", [], "", monkeypatch)
    with pytest.raises(AssertionError, match="--verbos"):
        check_module("pipeline.run", ["--local"], "# --verbosely: more", monkeypatch)
    with pytest.raises(AssertionError, match="tests"):
        check_target("tests-slow", [], monkeypatch)
    with pytest.raises(AssertionError, match="FOLDER"):
        check_target("bench", ["FOLDER=."], monkeypatch)
