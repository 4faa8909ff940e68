"""The space of a search: names, ranges and scales of hyperparameters, checked without TensorFlow."""

import difflib
import typing
from collections.abc import Sequence
from typing import Literal

import pydantic
from pydantic.fields import FieldInfo

from models.parameters import extra
from models.settings import Recipe


def _type_of(field: FieldInfo) -> type:
    """The type of a setting's values; that of its default is no guide where the default is null."""
    if field.default is not None:
        return type(field.default)
    [given] = (given for given in typing.get_args(field.annotation) if given is not type(None))
    return getattr(given, "__origin__", given)  # of an annotated type


# The Trainer's parameters that can be tuned. The epochs (they cost time), the seed (its effect is luck), files, and
# where training runs are not tunable.
TUNABLE: dict[str, type] = {
    name: _type_of(field) for name, field in Recipe.model_fields.items() if extra(field).get("tunable")
}
RANGE, CHOICE = ("min", "max", "step"), ("values",)


class Hyperparameter(pydantic.BaseModel):
    """One hyperparameter of the space.

    Attributes:
        name: One of the Trainer's parameters, see `TUNABLE`.
        kind: "float" and "int" are ranges, "choice" is a list.
        min: Lowest value of a range.
        max: Highest value of a range.
        step: Distance between a range's values, or their ratio on a logarithmic scale; None allows any value (of an
            int, every integer).
        scale: Whether a range is covered evenly ("linear") or by its logarithm ("log").
        values: The values of a choice.

    Raises:
        pydantic.ValidationError: If the name cannot be tuned or the range has nothing to choose from.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    kind: Literal["float", "int", "choice"]
    min: float | None = None
    max: float | None = None
    step: float | None = None
    scale: Literal["linear", "log"] = "linear"
    values: list[bool | int | float | str] | None = None

    @pydantic.field_validator("name")
    @classmethod
    def _can_be_tuned(cls, name: str) -> str:
        if name not in TUNABLE:
            near = difflib.get_close_matches(name, TUNABLE, n=1, cutoff=0.0)[0]
            raise ValueError(f"a parameter of the Trainer that can be tuned; the nearest is {near}")
        return name

    @pydantic.model_validator(mode="after")
    def _is_not_empty(self) -> "Hyperparameter":
        problem = self._problem_of_choice() if self.kind == "choice" else self._problem_of_range()
        if problem:
            raise ValueError(problem)
        return self

    @pydantic.model_serializer(mode="wrap")
    def _leave_out_none(self, handler):
        return {key: value for key, value in handler(self).items() if value is not None}

    @property
    def type(self) -> type:
        """The type of the Trainer's parameter."""
        return TUNABLE[self.name]

    def samples(self) -> list[bool | int | float | str]:
        """Returns values that must be possible if the space is: the choices, or the ends of the range and one step."""
        if self.kind == "choice":
            return list(self.values)
        inner = [self.min + (self.step or 1)] if self.kind == "int" and self.scale == "linear" else []
        return [self.type(value) for value in (self.min, *inner, self.max) if value <= self.max]

    def _problem_of_choice(self) -> str | None:
        given = [key for key in RANGE if getattr(self, key) is not None]
        if given:
            return f"no {given[0]} with kind choice: list the values"
        if len({str(value) for value in self.values or []}) < max(2, len(self.values or [])):
            return "values: at least two, all different"
        allowed = (int, float) if self.type is float else (self.type,)
        wrong = [value for value in self.values if type(value) not in allowed]
        return f"values of type {self.type.__name__}, not {wrong[0]!r}" if wrong else None

    def _problem_of_range(self) -> str | None:
        if self.values is not None:
            return f"no values with kind {self.kind}: min and max"
        if self.min is None or self.max is None:
            return f"both min and max with kind {self.kind}"
        if self.type not in (int, float):
            return f"kind choice, since {self.name} is a {self.type.__name__}"
        if self.kind == "float" and self.type is int:
            return f"kind int, since {self.name} is a whole number"
        if self.min >= self.max:
            return f"min below max, not {self.min:g} and {self.max:g}"
        whole = [getattr(self, key) for key in RANGE if getattr(self, key) is not None]
        if self.kind == "int" and any(value != int(value) for value in whole):
            return "whole numbers with kind int"
        if self.scale == "log" and self.min <= 0:
            return f"min above 0 on a log scale, not {self.min:g}"
        least = 1 if self.scale == "log" else 0
        if self.step is not None and self.step <= least:
            return f"a step above {least} on a {self.scale} scale, not {self.step:g}"
        return None


def default_space(augmented: bool) -> list[Hyperparameter]:
    """Returns the space of a configuration that has none.

    Args:
        augmented: Whether the augmented loss is on; only then gamma and temperature are searched.
    """
    ranges = [("learning_rate", 0.3, 3.0, "log"), ("dropout", 0.0, 0.6, "linear"), ("clip_norm", 1.0, 10.0, "log")]
    ranges += [("gamma", 0.1, 2.0, "log"), ("temperature", 3.0, 40.0, "log")] if augmented else []
    return [Hyperparameter(name=name, kind="float", min=a, max=b, scale=scale) for name, a, b, scale in ranges]


def in_words(space: Sequence[Hyperparameter]) -> str:
    """Describes the ranges of a space: `learning_rate 0.3 to 3 and dropout 0 to 0.6`.

    Args:
        space: At least two hyperparameters, each of which is a range.
    """
    *ranges, last = (
        f"{hyperparameter.name} {hyperparameter.min:g} to {hyperparameter.max:g}" for hyperparameter in space
    )
    return f"{', '.join(ranges)} and {last}"


def repeated(space: Sequence[Hyperparameter]) -> list[str]:
    """Returns the names that are in the space more than once.

    Args:
        space: The hyperparameters.
    """
    names = [hyperparameter.name for hyperparameter in space]
    return sorted({name for name in names if names.count(name) > 1})
