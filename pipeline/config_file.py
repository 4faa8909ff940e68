"""Reads configuration text: a YAML file of sections, and `section.key=VALUE` assignments, as flat dotted keys."""

import re
from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: `1e-3` is a number, and a key given twice is an error."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot in the mantissa and a sign in the exponent.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+|\d*\.\d+|\d+\.\d*)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read(file: Path) -> dict[str, Any]:
    """The file's values by dotted key, in the file's order.

    Raises:
        ValueError: If the file cannot be read, is not YAML or is not a mapping of sections.
    """
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The configuration file {file} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"The configuration file {file} is not valid YAML: {error}") from error
    return _flattened(content if content is not None else {}, str(file))


def parse_assignment(text: str) -> dict[str, Any]:
    """`"trainer.epochs=3"` -> `{"trainer.epochs": 3}`; the value is YAML, or a string where it is not.

    Raises:
        ValueError: If there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"--set {text!r}: expected section.key=VALUE, for example --set trainer.epochs=3.")
    try:
        return {key.strip(): yaml.load(value, _Loader)}
    except yaml.YAMLError:
        return {key.strip(): value}  # `*.txt`, say, which YAML takes for an alias


def _flattened(content: Any, source: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"{source}: found {content!r}, expected sections such as `trainer:` with keys below them.")
    flat = {}
    for section, values in content.items():
        if values is None:
            continue
        if not isinstance(values, dict):
            raise ValueError(f"{source}: {section}: found {values!r}, expected keys below the section `{section}:`.")
        flat |= {f"{section}.{key}": value for key, value in values.items()}
    return flat
