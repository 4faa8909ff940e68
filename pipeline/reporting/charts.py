"""Charts as SVG elements of a page, with the page's font and colours (CSS variables).

A chart is drawn small, 320 points wide, so that its text stays readable on a phone, which shows it at that size.
"""

import io
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from html import escape

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from components.number_format import compact

# Placeholder colours, which no chart needs; `_as_html` replaces them by the page's CSS variables.
INK, FAINT, SERIES = "#010203", "#040506", ("#070809", "#0a0b0c", "#0d0e0f", "#101112")
_VARIABLES = {INK: "--ink", FAINT: "--line", **{color: f"--series-{n}" for n, color in enumerate(SERIES, start=1)}}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
MIN_CURVE_POINTS = 3  # fewer points are drawn as dots
MIN_BIN_TOKENS = 10  # a calibration bin with fewer tokens is left out
_SIZE = (4.4, 2.7)  # inches
_WRAPPING = re.compile(r"<metadata>.*?</metadata>|<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->", re.DOTALL)


def lines(
    series: Mapping[str, Sequence[float | None]],
    title: str,
    log: bool = False,
    mark: int | None = None,
) -> str:
    """Draws curves over epochs, which count from 1. A curve of fewer than three values is drawn as dots.

    Args:
        series: Name -> a value for each epoch, None if there is none.
        title: What the chart shows, for people who cannot see it.
        log: Whether the y axis is logarithmic.
        mark: The epoch to mark with a dotted line; None for no mark.

    Returns:
        An SVG element.
    """

    def draw(axes) -> None:
        for (name, values), color, style in zip(series.items(), SERIES, ("-", "--", "-.", ":"), strict=False):
            known = [(epoch, value) for epoch, value in enumerate(values, start=1) if value is not None]
            few = len(known) < MIN_CURVE_POINTS  # a line through two points would look like a trend
            look = {"marker": "o", "linestyle": "none"} if few else {"linestyle": style}
            if known:
                axes.plot(*zip(*known, strict=True), color=color, label=name, **look)
        if mark is not None:
            axes.axvline(mark, color=INK, linewidth=1, linestyle=":")
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(_on_axis))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        if (epochs := max(map(len, series.values()))) < MIN_CURVE_POINTS:
            axes.set_xticks(range(1, epochs + 1))
        axes.set_xlabel("epoch")
        if len(series) > 1:
            axes.legend()

    return _chart(draw, title)


def coverage(shares: Mapping[str, tuple[Sequence[int], Sequence[float]]], title: str, mark: int) -> str:
    """Draws the share of the tokens that the n most frequent words make up, over n on a logarithmic axis.

    Args:
        shares: Name -> (values of n, shares).
        title: What the chart shows, for people who cannot see it.
        mark: The number of all words, marked with a dotted line.

    Returns:
        An SVG element.
    """

    def draw(axes) -> None:
        for (name, (words, share)), color in zip(shares.items(), SERIES, strict=False):
            axes.plot(words, share, color=color, label=name)
        axes.axvline(mark, color=INK, linewidth=1, linestyle=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(_on_axis))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("most frequent words")

    return _chart(draw, title)


def histogram(bars: Mapping[str, Sequence[float]], labels: Sequence[str], title: str, x_label: str) -> str:
    """Draws shares by bin, with a group of bars for each bin.

    Args:
        bars: Name -> a share for each bin.
        labels: A label for each bin.
        title: What the chart shows, for people who cannot see it.
        x_label: Label of the x axis.

    Returns:
        An SVG element.
    """

    def draw(axes) -> None:
        width = 0.8 / len(bars)
        for number, ((name, shares), color) in enumerate(zip(bars.items(), SERIES, strict=False)):
            places = [place + (number + 0.5) * width - 0.4 for place in range(len(labels))]
            axes.bar(places, shares, width=width, color=color, label=name)
        every = -(-len(labels) // 7)
        axes.set_xticks(range(0, len(labels), every), [labels[i] for i in range(0, len(labels), every)], fontsize=7.5)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(x_label)
        axes.legend()

    return _chart(draw, title)


def calibration(curves: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> str:
    """Draws the share of right predictions over their probability.

    The area of a dot grows with the tokens in its bin; bins of fewer than ten tokens are left out.

    Args:
        curves: Name -> bins with `tokens`, `probability` and `accuracy`.
        title: What the chart shows, for people who cannot see it.

    Returns:
        An SVG element.
    """

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
        for (name, bins), color in zip(curves.items(), SERIES, strict=False):
            tokens = sum(part["tokens"] for part in bins)
            bins = [part for part in bins if part["tokens"] >= MIN_BIN_TOKENS]
            x, y = [part["probability"] for part in bins], [part["accuracy"] for part in bins]
            axes.plot(x, y, color=color, linewidth=1, alpha=0.5)
            axes.scatter(
                x, y, s=[4 + 200 * part["tokens"] / tokens for part in bins], color=color, label=name, linewidths=0
            )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability of the first choice", ylabel="share right")
        axes.legend(loc="upper left", markerscale=0.6) if curves else None

    return _chart(draw, title, size=(4.4, 3.3))


def words(places: Sequence[Mapping], title: str) -> str:
    """Draws words at their places. A word whose text would cover a more frequent one is only a dot.

    Args:
        places: `word`, `x` and `y` of each word, the most frequent first.
        title: What the chart shows, for people who cannot see it.

    Returns:
        An SVG element.
    """

    def draw(axes) -> None:
        axes.set_axis_off()
        x, y = [place["x"] for place in places], [place["y"] for place in places]
        axes.set_xlim(min(x) - 0.02, max(x) + 0.1)
        axes.set_ylim(min(y) - 0.03, max(y) + 0.03)
        axes.scatter(x, y, s=3, color=SERIES[0], linewidths=0)
        taken: list[tuple[float, float, float, float]] = []
        for place in places:
            left, bottom = axes.transData.transform((place["x"], place["y"]))
            box = (left, bottom - 5, left + 6 + 5.0 * len(place["word"]), bottom + 5)
            if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
                taken.append(box)
                axes.annotate(_literal(place["word"]), (place["x"], place["y"]), (3, -2.5),
                              textcoords="offset points", fontsize=8)  # fmt: skip

    return _chart(draw, title, size=(6.4, 5.2))


def _chart(draw: Callable, title: str, size: tuple[float, float] = _SIZE) -> str:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained", dpi=72)
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
    return _as_html(buffer.getvalue(), title)


def _as_html(svg: str, title: str) -> str:
    """Converts an SVG file to an element of a page: no headers, the page's colours, unique ids."""
    svg = _WRAPPING.sub("", svg)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", svg)
    own = f"{zlib.crc32(title.encode()):08x}"
    for name in used:
        svg = re.sub(rf'(id="|url\(#|href="#){re.escape(name)}\b', rf"\g<1>{own}{name}", svg)
    box = re.search(r'viewBox="([^"]*)"', svg)[1]
    head = f'<svg class="chart" role="img" viewBox="{box}" aria-label="{escape(title)}">'
    svg = head + svg[svg.index(">", svg.index("<svg")) + 1 :]
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return svg.strip()


def _literal(text: str) -> str:
    return text.replace("$", r"\$")  # matplotlib reads text between two dollars as mathematics


def _on_axis(value: float, _place: int | None = None) -> str:
    return compact(value)
