"""The configuration: every key with its type, bounds and built-in default, checked before anything runs.

Which value wins: `--set`, then the file, then the model's preset, then the corpus's profile, then the built-in default.
`null` in the file (or in `--set`) leaves the decision to the next one. This module needs no TensorFlow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic

from pipeline.config import checks, messages, presets, tuning_checks, yaml_text
from pipeline.config.settings import SECTIONS, Settings


class ConfigurationError(Exception):
    """The configuration cannot be used: the message names each key, what was found and what was expected."""


@dataclass(frozen=True)
class Configuration:
    """The resolved configuration and where it comes from.

    Attributes:
        settings: The values, typed and checked.
        values: The same values by dotted key, as JSON.
        defaults: Dotted key -> the value if nobody sets it: decided by the corpus, the preset or built in.
        origins: Dotted key -> "--set", the file's name, "preset small", "profile penn_treebank" or "default".
    """

    settings: Settings
    values: dict[str, Any]
    defaults: dict[str, Any]
    origins: dict[str, str]

    @property
    def changed(self) -> dict[str, Any]:
        """The values that differ from their defaults."""
        return changed_values(self.values, self.defaults)


def changed_values(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values that differ from their defaults.

    Args:
        values: Dotted key -> value.
        defaults: Dotted key -> the value if nobody sets it.

    Returns:
        Dotted key -> value, in the order of `values`.
    """
    return {key: value for key, value in values.items() if value != defaults.get(key)}


def _is_text(kind: Any) -> bool:
    """Returns whether the values of a type, except None, are strings."""
    if get_origin(kind) is Annotated:
        return _is_text(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType, Literal):
        return all(part is NoneType or isinstance(part, str) or _is_text(part) for part in get_args(kind))
    return kind is str


BUILT_IN: dict[str, Any] = {
    f"{section}.{key}": field.get_default()
    for section, parameters in SECTIONS.items()
    for key, field in parameters.model_fields.items()
}
TEXT_KEYS = {
    f"{section}.{key}"
    for section, parameters in SECTIONS.items()
    for key, field in parameters.model_fields.items()
    if _is_text(field.annotation)
}


def load(file: Path | None = None, assignments: Iterable[str] = ()) -> Configuration:
    """Reads, resolves and checks the configuration.

    Args:
        file: A YAML file of sections and keys, or None for the built-in values alone.
        assignments: Texts `section.key=VALUE`, which win over the file. VALUE is YAML; for a key that takes text, it is
            taken literally.

    Raises:
        ConfigurationError: If the file cannot be read, a key is unknown, or values are wrong or contradict each other;
            the message names all of them.
    """
    given: dict[str, Any] = {}
    origins: dict[str, str] = {}
    try:
        layers = [(file.name, yaml_text.read(file))] if file else []
        layers += [("--set", yaml_text.parse_assignment(text, TEXT_KEYS)) for text in assignments]
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    for origin, layer in layers:
        unknown = messages.unknown_keys(layer, origin, BUILT_IN)
        if unknown:
            raise ConfigurationError("\n".join(unknown))
        given |= layer
        origins |= dict.fromkeys(layer, origin)
    given = {key: value for key, value in given.items() if value is not None}

    decided, decided_by = _decided(given)
    values = BUILT_IN | decided | given
    origins = {key: origins[key] if key in given else decided_by.get(key, "default") for key in BUILT_IN}
    settings = _validated(values, origins)
    problems = checks.contradictions(settings) or tuning_checks.problems(settings)
    if problems:
        raise ConfigurationError("\n".join(problems))
    values = {
        f"{name}.{key}": value for name, section in settings.model_dump().items() for key, value in section.items()
    }
    return Configuration(settings, values, BUILT_IN | decided, origins)


def _decided(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the values that the corpus and the preset decide, and for each which of them decides it."""
    dataset = given.get("example_gen.dataset", BUILT_IN["example_gen.dataset"])
    profile = presets.profile(dataset) if isinstance(dataset, str) else {}
    preset_name = given.get("model.preset", profile.get("model.preset"))
    known = isinstance(preset_name, str) and preset_name in presets.PRESETS
    preset = presets.preset(preset_name, dataset) if known else {}
    decided_by = dict.fromkeys(profile, f"profile {dataset}") | dict.fromkeys(preset, f"preset {preset_name}")
    return profile | preset, decided_by


def _validated(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    nested: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for key, value in values.items():
        section, _, name = key.partition(".")
        nested[section][name] = value
    try:
        return Settings.model_validate(nested)
    except pydantic.ValidationError as error:
        raise ConfigurationError("\n".join(messages.messages(error, origins))) from error
