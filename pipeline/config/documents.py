"""Writes the files derived from the settings: `pipeline_config.yaml` with its comments, and the table of all keys.

    python -m pipeline.config.documents [--check]

Run it after adding or changing a setting; a test compares the files with what it writes.
"""

import argparse
import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic
import yaml

from models.parameters import extra
from pipeline.config import presets
from pipeline.config.settings import SECTIONS

REPOSITORY = Path(__file__).parents[2]
WIDTH = 120
HEAD = """\
# The configuration of `python -m pipeline.run --local`: every key, its meaning, unit and default.
#
# Which value wins: --set KEY=VALUE, then this file, then the model's preset, then the corpus's profile
# (pipeline/config/presets.py), then the built-in default. `null` takes back what the file or an earlier --set gave, so
# that preset, profile or default decide. The keys that a preset or profile decides are null here, so that
# `--set model.preset=medium` or `--set example_gen.dataset=wikitext2` takes effect. "Default" below is the value if
# neither decides.
#
# Written by `python -m pipeline.config.documents` from the settings' definitions.
"""
TABLE_HEAD = """\
# Configuration

Every key of `pipeline_config.yaml`, with its type, bounds and default. `--set KEY=VALUE` wins over the file, the file
over the model's preset, that over the corpus's profile, and that over the default. `null` takes back what the file or
an earlier `--set` gave, so that preset, profile or default decide. *Preset* and *profile* name what else decides a key
([their values](training.md#presets-and-profiles)); *searched* marks those that `tuner.space` may name.

Written by `python -m pipeline.config.documents` from the settings' definitions.
"""


def yaml_text() -> str:
    """Returns the text of the commented configuration; a key that presets or profiles decide is null."""
    sections = []
    for name, section in SECTIONS.items():
        lines = [f"{name}:"]
        for key, field in section.model_fields.items():
            decided = _decided_by(f"{name}.{key}")
            lines += textwrap.wrap(_comment(field, decided), WIDTH, initial_indent="  # ", subsequent_indent="  # ",
                                   break_long_words=False, break_on_hyphens=False)  # fmt: skip
            lines.append(f"  {key}: {_yaml(None if decided else field.default)}")
        sections.append("\n".join(lines))
    return "\n".join([HEAD, *("\n\n".join(sections).splitlines()), ""])


def table() -> str:
    """Returns the documentation's page of all keys, in Markdown."""
    parts = [TABLE_HEAD]
    for name, section in SECTIONS.items():
        parts.append(f"\n## {name}\n\n{inspect.getdoc(section)}\n")
        parts.append("| key | values | default | also decided by | meaning |\n| --- | --- | --- | --- | --- |")
        for key, field in section.model_fields.items():
            searched = " *Searched.*" if extra(field).get("tunable") else ""
            cells = [f"`{name}.{key}`", _values(field), _default(field, "`"), _decided_by(f"{name}.{key}"),
                     (field.description or "") + searched]  # fmt: skip
            parts.append("| " + " | ".join(cells).replace("<", "&lt;") + " |")
    return "\n".join(parts) + "\n"


def _comment(field: pydantic.fields.FieldInfo, decided: str) -> str:
    by = f" Decided by the {decided}." if decided and "Decided by" not in (field.description or "") else ""
    return f"{field.description}{by} Default: {_default(field)}"


def _default(field: pydantic.fields.FieldInfo, quote: str = "") -> str:
    null = f", {extra(field)['null']}" if field.default is None and extra(field).get("null") else ""
    return f"{quote}{_yaml(field.default)}{quote}{null}"


def _decided_by(key: str) -> str:
    """Returns what decides a key that nobody sets: "preset", "profile", both or nothing."""
    if key == "model.dropout":
        return "preset (for each corpus) and the profile"
    tables = {"preset": presets.PRESETS, "profile": presets.PROFILES}
    return " and the ".join(name for name, table in tables.items() if any(key in keys for keys in table.values()))


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
    if isinstance(value, list) and any(not str(item).isidentifier() for item in value):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) and not value.replace("-", "_").isidentifier() else text


def _values(field: pydantic.fields.FieldInfo) -> str:
    """Describes the type and the bounds of a setting."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [(sign, value) for item in _metadata(field) for name, sign in signs.items()
              if (value := getattr(item, name, None)) not in (None, 2**31)]  # fmt: skip
    text = ", ".join(f"{sign} {value:g}" for sign, value in bounds)
    return ", ".join(filter(None, [_type(field.annotation), text]))


def _metadata(field: pydantic.fields.FieldInfo) -> Iterator[Any]:
    for item in field.metadata:
        yield from getattr(item, "metadata", None) or [item]


def _type(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _type(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join("null" if part is NoneType else _type(part) for part in get_args(kind))
    if get_origin(kind) is list:
        return f"list of {_type(get_args(kind)[0])}"
    names = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    return names.get(kind, "mapping")


FILES = {"pipeline_config.yaml": yaml_text, "docs/configuration.md": table}


def main(arguments: list[str] | None = None) -> int:
    """Writes the files; with --check, reports those that are stale.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code: 1 if --check found a stale file.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is stale")
    parsed = parser.parse_args(arguments)
    stale = []
    for name, text in FILES.items():
        path = REPOSITORY / name
        if not path.exists() or path.read_text(encoding="utf-8") != text():
            stale.append(name)
            if not parsed.check:
                path.write_text(text(), encoding="utf-8")
    if stale and parsed.check:
        print(f"Stale: {', '.join(stale)}. Run `python -m pipeline.config.documents`.", file=sys.stderr)
    return int(bool(stale) and parsed.check)


if __name__ == "__main__":
    sys.exit(main())
