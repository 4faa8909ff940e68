"""Learning curves of a table's runs, as in the paper's Fig. 2, as SVG."""

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from experiments import published

STYLE = {"svg.fonttype": "none", "svg.hashsalt": "curves", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
HIGHEST = 1.8  # top of the axis, times the lowest valid perplexity: the first epochs would flatten the rest


def draw(runs: Sequence[dict[str, Any]], title: str) -> str:
    """Draws perplexity by epoch: validation solid, training dashed, the published final value dotted.

    Args:
        runs: Runs with at least one epoch; the seeds of a row share its colour.
        title: The title above the picture.

    Returns:
        An SVG file's text, the same for the same figures.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        rows = list(dict.fromkeys(run["name"] for run in runs))
        for run in runs:
            place, first = rows.index(run["name"]), run is next(r for r in runs if r["name"] == run["name"])
            color, epochs = f"C{place % 10}", [epoch["epoch"] for epoch in run["epochs"]]
            for kind, style in (("valid", "-"), ("train", "--")):
                values = [math.nan if (v := epoch[f"{kind}_perplexity"]) is None else v for epoch in run["epochs"]]
                label = run["name"] if first and kind == "valid" else None
                axes.plot(epochs, values, style, color=color, label=label, linewidth=1.6 if kind == "valid" else 0.8)
            goal = _goal(run)
            if goal and first:
                axes.axhline(goal, color=color, linestyle=":", linewidth=1)
        valid, training = (
            [value for run in runs for epoch in run["epochs"] if (value := epoch[f"{kind}_perplexity"]) is not None]
            for kind in ("valid", "train")
        )
        goals = [goal for run in runs if (goal := _goal(run))]
        lowest_valid = min(valid, default=1.0)
        axes.set(title=title, xlabel="epoch", ylabel="perplexity", yscale="log")
        axes.set_ylim(0.95 * min([lowest_valid, *training, *goals]), HIGHEST * lowest_valid)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=8))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize="small", title="valid; dashed: training; dotted: published", title_fontsize="small")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _goal(run: dict[str, Any]) -> float | None:
    """Returns the published valid perplexity of a row of the paper; None for its variants."""
    return published.PAPER.get(published.corpus(run), {}).get(run["name"], (None,))[0]
