"""Messages about unknown keys and wrong values: each names the key, what was found and what was expected."""

import difflib
from collections.abc import Collection, Iterable, Mapping

import pydantic

from pipeline.config.yaml_text import shown

MAX_MESSAGES = 20  # a file that is not a configuration at all has many errors


def unknown_keys(layer: Iterable[str], origin: str, known: Collection[str]) -> list[str]:
    """Returns a message for each unknown key of a layer, with the nearest known one.

    Args:
        layer: The keys that the layer sets.
        origin: Where the layer comes from, such as "--set" or a file's name.
        known: All configuration keys.
    """
    messages = []
    for key in sorted(set(layer) - set(known)):
        # The likeliest mistakes: a wrong letter in the whole key, or the right name in the wrong section.
        name = key.rpartition(".")[2]
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
        near = near or [other for other in known if other.rpartition(".")[2] == name][:1]
        near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        messages.append(f"{key:.200} (from {origin}) is not a configuration key; the nearest is {near[0]}.")
    return cut(messages)


# Expectations for a value that is a mapping of keys, by pydantic's type of error.
MAPPING_EXPECTATIONS = {
    "missing": "that key, too",
    "extra_forbidden": "no such key",
    "model_type": "a mapping of keys, or null",
}


def messages(error: pydantic.ValidationError, origins: Mapping[str, str]) -> list[str]:
    """Returns a message for each error: the key, where its value is from, what was found and what was expected.

    Args:
        error: The error that validating `Settings` or a component's parameters raised.
        origins: Key -> where its value is from.
    """
    messages = []
    for item in error.errors():
        place = _dotted(item["loc"], error.title, origins)
        if item["type"] == "value_error" and "." not in place:  # a section whose keys contradict each other
            messages += [f"{place}.{line}" for line in str(item["ctx"]["error"]).splitlines()]
            continue
        key = ".".join(place.split(".")[:2])
        expected = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        expected = MAPPING_EXPECTATIONS.get(item["type"], expected)
        found = shown(item["input"])
        messages.append(f"{place} (from {origins.get(key, 'default')}): found {found}, expected {expected}.")
    return cut(messages)


def _dotted(location: Iterable[str | int], title: str, known: Iterable[str]) -> str:
    """Returns the dotted key of a value; `title` names the model that refused it: all settings or a component."""
    place = ".".join(str(part) for part in location)
    if title == "Settings":
        return place
    name = place.split(".")[0]
    return next((f"{key}{place[len(name) :]}" for key in known if key.rpartition(".")[2] == name), place)


def cut(messages: list[str]) -> list[str]:
    """Keeps the first messages and adds how many more there are.

    Args:
        messages: Any number of messages.
    """
    more = len(messages) - MAX_MESSAGES
    return messages if more <= 0 else [*messages[:MAX_MESSAGES], f"... and {more:,} more."]
