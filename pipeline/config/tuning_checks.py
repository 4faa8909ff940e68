"""Checks a search space against the rest of the configuration: each of its values must give a valid configuration."""

from typing import Any

import pydantic

from components.tuner.search_space import TUNABLE, Hyperparameter, default_space, repeated
from models.parameters import extra
from models.settings import Recipe
from pipeline.config.checks import contradictions
from pipeline.config.settings import SECTIONS, Settings

_EXTRA = {name: extra(field) for name, field in Recipe.model_fields.items()}
# Hyperparameter -> the key and value without which it has no effect.
NEEDS: dict[str, tuple[str, Any]] = {name: more["needs"] for name, more in _EXTRA.items() if more.get("needs")}
ARCHITECTURE = [name for name, more in _EXTRA.items() if more.get("shape")]


def space(settings: Settings) -> list[Hyperparameter]:
    """Returns the space to search: `tuner.space`, or the built-in one if that is null.

    Args:
        settings: The resolved settings.
    """
    return default_space(settings.loss.augmented) if settings.tuner.space is None else settings.tuner.space


def problems(settings: Settings) -> list[str]:
    """Returns a message for each thing that is wrong with `tuner.space`; none if the Tuner is off.

    Args:
        settings: The resolved settings, valid by themselves.
    """
    if not settings.tuner.enabled:
        return []
    searched = space(settings)
    if not searched:
        return ["tuner.space: found [], expected at least one hyperparameter, or null for the built-in space."]
    messages = [f"tuner.space: {name} is in it more than once." for name in repeated(searched)]
    for hyperparameter in searched:
        messages += _values_problems(settings, hyperparameter)
    names = {hyperparameter.name: hyperparameter for hyperparameter in searched}
    return messages + _without_effect(settings, names) + _fixed_elsewhere(settings, names)


def _values_problems(settings: Settings, hyperparameter: Hyperparameter) -> list[str]:
    name, section = hyperparameter.name, section_of(hyperparameter.name)
    default = getattr(getattr(settings, section), name)
    if default is None:
        return [
            f"tuner.space: {name} has no value for the first trial, since {section}.{name} is null: set that key, or "
            f"leave {name} out."
        ]
    if hyperparameter.scale == "log" and default <= 0:
        return [
            f"tuner.space: {name} has a log scale, but its default {section}.{name}, the first trial, is {default}."
        ]
    for value in hyperparameter.samples():
        before = getattr(settings, section)
        try:
            changed = type(before).model_validate(before.model_dump() | {name: value})
        except pydantic.ValidationError as error:
            expected = error.errors()[0]["msg"].removeprefix("Input should be ")
            if expected.startswith("Value error, "):
                return [
                    f"tuner.space: {name} {value!r} contradicts another key. {expected.removeprefix('Value error, ')}"
                ]
            return [f"tuner.space: {name}: found {value!r}, expected {expected}."]
        wrong = contradictions(settings.model_copy(update={section: changed}))
        if wrong:
            return [f"tuner.space: {name} {value!r} contradicts another key. {wrong[0]}"]
    return []


def _without_effect(settings: Settings, names: dict[str, Hyperparameter]) -> list[str]:
    messages = []
    for name in names.keys() & NEEDS.keys():
        key, needed = NEEDS[name]
        value = getattr(settings.loss, key)
        if key not in names and value != needed:
            messages.append(f"tuner.space: {name} has no effect while loss.{key} is {value!r}: leave it out.")
    epochs, start = settings.tuner.epochs, settings.trainer.decay_start_epoch
    late = "decay" in names and "decay_start_epoch" not in names and epochs <= start
    late |= "decay_start_epoch" in names and int(names["decay_start_epoch"].samples()[0]) >= epochs
    if late:
        messages.append(
            f"tuner.space: a trial of tuner.epochs {epochs} ends before the learning rate decays "
            f"(trainer.decay_start_epoch {start}): longer trials, an earlier start, or leave the decay out."
        )
    return sorted(messages)


def _fixed_elsewhere(settings: Settings, names: dict[str, Hyperparameter]) -> list[str]:
    messages = []
    if settings.trainer.initial_model:
        messages += [f"tuner.space: {name} is fixed by trainer.initial_model: leave it out."
                  for name in ARCHITECTURE if name in names]  # fmt: skip
    if settings.model.pretrained_embeddings:
        width = "units" if settings.model.embedding_units is None else "embedding_units"
        if width in names:
            messages.append(f"tuner.space: {width} is fixed by the width of model.pretrained_embeddings: leave it out.")
    return messages


def section_of(name: str) -> str:
    """Returns the configuration's section that has a hyperparameter.

    Args:
        name: The hyperparameter's name, one of `TUNABLE`.
    """
    assert name in TUNABLE
    return next(section for section in ("model", "loss", "trainer") if name in SECTIONS[section].model_fields)
