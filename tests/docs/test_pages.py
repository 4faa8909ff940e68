"""The documents name only files, configuration keys and options that exist."""

import re
from pathlib import Path

import pytest

from pipeline import export, report, run, score, serve
from pipeline.config import resolve

REPOSITORY = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/README.md", "experiments/README.md"]
PAGES += sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))
PATH = re.compile(r"`((?:models|components|pipeline|tests|docs|examples|experiments|benchmarks|\.ci)/[\w./*-]*)")
LINK = re.compile(r"\]\((?!https?:)([^)#=\s]*)[)#]")
ASSIGNMENT = re.compile(r"--set '?([a-z_]+\.[a-z_0-9]+)=")
COMMAND = re.compile(r"python -m pipeline\.(run|serve|score|report|export)\b([^`\n]*(?:\\\n[^`\n]*)*)")
MODULES = {"run": run, "serve": serve, "score": score, "report": report, "export": export}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_what_exists(page, capsys):
    path = REPOSITORY / page
    text = path.read_text(encoding="utf-8")
    for link in LINK.findall(text):
        assert not link or (path.parent / link).exists(), f"link to {link}"
    for name in PATH.findall(text):
        assert list(REPOSITORY.glob(name.rstrip("/."))), name
    for key in ASSIGNMENT.findall(text):
        assert key in resolve.BUILT_IN, key
    for command, arguments in COMMAND.findall(text):
        for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", arguments.split(" #")[0]):
            assert option in _help(command, capsys), f"{command} {option}"


def _help(command: str, capsys) -> str:
    with pytest.raises(SystemExit):
        MODULES[command].main(["--help"])
    return capsys.readouterr().out


def test_the_readme_is_short_and_names_no_folder_outside():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130 and "../" not in text.replace(".../", "")
