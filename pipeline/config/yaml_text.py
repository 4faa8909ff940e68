"""Reads configuration text: a YAML file of sections, and `section.key=VALUE` assignments, as flat dotted keys."""

import re
import reprlib
from collections.abc import Container
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1 << 20  # size of a file; the shipped one has 11 KB
MAX_VALUES = 10_000  # values in a file, counting what an alias repeats each time

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200


def shown(value: Any) -> str:
    """Returns a value as messages show it: in full, or cut short if it is long.

    Args:
        value: Any value from a configuration file.
    """
    return _SHORT.repr(value)


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: `1e-3` is a number, `010` and `1:30` are text, a key given twice is an error.

    Merge keys (`<<`), anchors and aliases work; aliases that expand to more than `MAX_VALUES` are an error.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _expanded_size(node, {}) > MAX_VALUES:
            raise yaml.composer.ComposerError(
                None, None, f"with its aliases it holds more than {MAX_VALUES:,} values", node.start_mark
            )
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.composer.ComposerError(None, None, "a key has to be a word", key.start_mark)
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, f"{shown(key.value)} is given twice", key.start_mark)
            seen.add(key.value)
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> Any:
        try:
            value = super().construct_yaml_int(node)
        except ValueError:
            return node.value  # more digits than Python reads
        return value if value.bit_length() < 256 else node.value


def _expanded_size(node: yaml.Node, known: dict[int, int]) -> int:
    """Counts the values below a node, what aliases repeat each time.

    Raises:
        ComposerError: If the node is below itself.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if known.get(id(node)) == 0:
        raise yaml.composer.ComposerError(None, None, "an alias repeats what it is in", node.start_mark)
    if id(node) not in known:
        known[id(node)] = 0  # marks that this node is being counted
        below = [value for pair in node.value for value in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_expanded_size(value, known) for value in below)
    return known[id(node)]


# YAML 1.1 reads 010 as eight, 1:30 as ninety and 2001-01-01 as a date. It needs a dot in the mantissa and a sign in the
# exponent.
_REPLACED = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^([-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+"
        r"|\.(inf|Inf|INF))|\.(nan|NaN|NAN))$"
    ),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$"),
    list("-+0123456789"),
)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read(file: Path) -> dict[str, Any]:
    """Reads a file's values by dotted key, in the file's order.

    Args:
        file: A YAML file of sections and keys.

    Raises:
        ValueError: If the file cannot be read, is too large, is not YAML or is not a mapping of sections.
    """
    try:
        with file.open("rb") as opened:  # also works for a pipe
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"The configuration file {file} is larger than {MAX_BYTES:,} bytes.")
        content = _parse(content.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The configuration file {file} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"The configuration file {file} is not valid YAML: {error}") from error
    return _flattened(content if content is not None else {}, str(file))


def parse_assignment(text: str, text_keys: Container[str] = ()) -> dict[str, Any]:
    """Parses an assignment: `"trainer.epochs=3"` becomes `{"trainer.epochs": 3}`.

    Args:
        text: `section.key=VALUE`.
        text_keys: Keys whose VALUE is taken literally, except `null`. Any other VALUE is YAML, or a string if it is not
            valid YAML.

    Raises:
        ValueError: If there is no `=` or no key before it.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ValueError(f"--set {text!r}: expected section.key=VALUE, for example --set trainer.epochs=3.")
    if key in text_keys:
        return {key: None if value == "null" else value}
    try:
        return {key: _parse(value)}
    except yaml.YAMLError:
        return {key: value}


def _parse(text: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except RecursionError:
        raise yaml.YAMLError("its lists or mappings are nested too deep") from None
    except (
        ValueError,
        LookupError,
        AttributeError,
    ) as error:  # a value that does not fit its tag, such as `!!timestamp x`
        raise yaml.YAMLError(f"a value does not fit its tag ({error})") from None


def _flattened(content: Any, source: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(
            f"{source}: found {shown(content)}, expected sections such as `trainer:` with keys below them."
        )
    flat: dict[str, Any] = {}
    for section, values in content.items():
        if values is None:
            continue
        if not isinstance(values, dict):
            raise ValueError(
                f"{source}: {section}: found {shown(values)}, expected keys below the section `{section}:`."
            )
        flat |= {f"{section}.{key}": value for key, value in values.items()}
    return flat
