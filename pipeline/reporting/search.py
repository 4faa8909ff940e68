"""The report's section about a search: its trials, best first, and a drawing in which each trial is a line."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from components.artifacts.trials import TRIALS, lowest_perplexity, rank
from components.number_format import readable
from pipeline.reporting.sections import RunArtifacts

LEFT, TOP, GAP, HEIGHT = 55, 34, 120, 190
LAST_AXIS = "valid perplexity"


def tuning(artifacts: RunArtifacts) -> dict | None:
    """Returns the search that the Trainer's hyperparameters come from, or None if there was none.

    Args:
        artifacts: The run's artifacts.

    Returns:
        The template's variables: what the trials' file holds, with `names`, `chart` and the trials in order of
            perplexity.
    """
    search = artifacts.read("Tuner", "best_hyperparameters", TRIALS)
    if not search:
        return None
    best, default = search["best"]["trial"], (search["default"] or {}).get("trial")
    trials = [
        trial
        | {"perplexity": lowest_perplexity(trial), "best": trial["trial"] == best, "default": trial["trial"] == default}
        for trial in search["trials"]
    ]
    trials.sort(key=rank)
    names = [hyperparameter["name"] for hyperparameter in search["space"]]
    return search | {"trials": trials, "names": names, "chart": parallel_coordinates(search["space"], trials)}


def parallel_coordinates(space: Sequence[Mapping[str, Any]], trials: Sequence[Mapping[str, Any]]) -> str:
    """Draws an axis for each hyperparameter and one for the perplexity, and each trial as a line across them.

    Args:
        space: The hyperparameters: `name`, `kind`, `scale`, and `values` or `min` and `max`.
        trials: The trials: `values` by name, `perplexity`, `status`, `best`, `default`.

    Returns:
        An SVG element.
    """
    axes = [
        _Axis(hyperparameter["name"], [t["values"][hyperparameter["name"]] for t in trials], hyperparameter)
        for hyperparameter in space
    ]
    known = [t["perplexity"] for t in trials if t["status"] == "completed"]
    axes.append(_Axis(LAST_AXIS, known, {"scale": "log"}))
    width, height = 2 * LEFT + GAP * (len(axes) - 1), TOP + HEIGHT + 28
    parts = [_axis(axis, LEFT + GAP * place) for place, axis in enumerate(axes)]
    # The best trial and the default are drawn last, on top of the others.
    for trial in sorted(trials, key=lambda t: (t["best"], t["default"], t["status"] == "completed")):
        if "values" in trial:
            parts.append(_line(trial, axes))
    label = "Trials: each line is a trial, from its hyperparameters to its valid perplexity"
    return (
        f'<svg class="chart wide trials" role="img" aria-label="{label}" viewBox="0 0 {width} {height}">'
        f"{''.join(parts)}</svg>"
    )


class _Axis:
    """An axis of the drawing, with a place for each value: 0 at the bottom, 1 at the top."""

    def __init__(self, name: str, values: Sequence[Any], hyperparameter: Mapping[str, Any]):
        self.name, self.choices, self.log = name, None, hyperparameter.get("scale") == "log"
        if hyperparameter.get("kind") == "choice":
            offered = list(hyperparameter["values"])
            self.choices = offered + [value for value in dict.fromkeys(values) if value not in offered]
            self.low, self.high = self.choices[0], self.choices[-1]
            return
        bounds = [hyperparameter[key] for key in ("min", "max") if key in hyperparameter]
        self.low, self.high = min([*values, *bounds]), max([*values, *bounds])
        self.log = self.log and self.low > 0

    def place(self, value: Any) -> float:
        """Returns where a value is on the axis, from 0 to 1.

        Args:
            value: One of the choices, or a number within the bounds.
        """
        if self.choices:
            return self.choices.index(value) / max(1, len(self.choices) - 1)
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (value - low) / (high - low) if high > low else 0.5


def _axis(axis: _Axis, x: float) -> str:
    ends = [(TOP + HEIGHT + 16, axis.low), (TOP - 6, axis.high)]
    ticks = "".join(
        f'<text x="{x}" y="{y}" text-anchor="middle" font-size="10">{escape(readable(value))}</text>'
        for y, value in ends
    )
    name = escape(axis.name.replace("_", " "))
    return (
        f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{TOP + HEIGHT}" stroke="var(--line)" stroke-width="2"/>{ticks}'
        f'<text x="{x}" y="{TOP - 20}" text-anchor="middle" font-size="11" font-weight="600">{name}</text>'
    )


def _line(trial: Mapping[str, Any], axes: Sequence[_Axis]) -> str:
    completed = trial["status"] == "completed"
    places = [axis.place(trial["values"][axis.name]) for axis in axes[:-1]]
    places.append(axes[-1].place(trial["perplexity"]) if completed else 1.0)
    points = " ".join(f"{LEFT + GAP * n:.0f},{TOP + HEIGHT * (1 - place):.1f}" for n, place in enumerate(places))
    style = 'stroke="var(--series-1)" stroke-width="1.2" opacity="0.6"'
    if not completed:
        style = 'stroke="var(--bad)" stroke-width="1.2" stroke-dasharray="4 3" opacity="0.8"'
    if trial["default"]:
        style = 'stroke="var(--series-2)" stroke-width="2.4"'
    if trial["best"]:
        style = 'stroke="var(--series-4)" stroke-width="3"'
    values = ", ".join(f"{name} {readable(value)}" for name, value in trial["values"].items())
    end = f"{LAST_AXIS} {readable(trial['perplexity'])}" if completed else trial["status"]
    title = escape(f"trial {trial['trial']}: {values}: {end}")
    return f'<polyline fill="none" {style} points="{points}"><title>{title}</title></polyline>'
