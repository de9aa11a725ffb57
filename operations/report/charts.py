"""The report's charts as SVG by matplotlib, in the colours of the page; the same data, the same text."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import matplotlib.style
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform

from operations.outcomes import OUTCOMES
from operations.report.captures import Floats, Ints

WIDTH: Final = 400  # the page scales a chart to its column; text of 12 px stays readable on a phone
HEIGHT: Final = 220
SMALL: Final = (270, 104)
CLASS_COLOURS: Final = 6
_DAY: Final = 86_400
_HOUR: Final = 3_600
_MOST_HOURS: Final = 72
# matplotlib writes these, the page's variables replace them.
_VARIABLES: Final = ("text", "soft", "line", "card", *(f"class-{n}" for n in range(CLASS_COLOURS)), *OUTCOMES)
_COLOURS: Final = {name: f"#0a00{number:02x}" for number, name in enumerate(_VARIABLES, 1)}
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.edgecolor": _COLOURS["line"],
    "axes.facecolor": "none",
    "axes.grid.axis": "y",
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,  # a point is a pixel
    "figure.facecolor": "none",
    "grid.color": _COLOURS["line"],
    "grid.alpha": 0.6,
    "xtick.color": _COLOURS["line"],
    "xtick.labelcolor": _COLOURS["soft"],
    "ytick.color": _COLOURS["line"],
    "ytick.labelcolor": _COLOURS["soft"],
    "ytick.major.size": 0,
}


@contextmanager
def _chart(size: tuple[int, int], title: str, *, grid: bool = True) -> Iterator[tuple[Axes, list[Markup]]]:
    """Yield axes, and a list that has the SVG once they are drawn; `title` is what a screen reader reads."""
    drawn: list[Markup] = []
    with matplotlib.style.context(["default", _STYLE | {"axes.grid": grid, "svg.hashsalt": title}]):
        figure = Figure(figsize=(size[0] / 72, size[1] / 72), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        yield axes, drawn
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = re.sub(
        r"<metadata>.*?</metadata>|<!--.*?-->| id=\"[\w.]+_\d+\"", "", buffer.getvalue(), flags=re.DOTALL
    )
    svg = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", svg[svg.index("<svg") :])
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"M ([\d.]+ [\d.]+) \nL \1 \n?", r"M\1h0", svg)  # dots
    for name, colour in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
    drawn.append(Markup(svg))  # noqa: S704 - our own


def confidence_over_time(
    times: Floats, confidences: Floats, answers: Ints, labels: Sequence[str], threshold: float
) -> Markup:
    """Draw each answer as a dot of its class's colour."""
    with _chart((WIDTH, HEIGHT), "Confidence of each answer over time") as (axes, drawn):
        days = times / _DAY
        spread = max(float(days[-1] - days[0]), 1 / 24)
        axes.set_xlim(days[0] - spread / 50, days[-1] + spread / 50)
        axes.set_ylim(math.floor(10 / len(labels)) / 10, 1.005)  # the top one of K classes has 1 / K or more
        locator = AutoDateLocator(tz=UTC, minticks=2, maxticks=5)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
        axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # lays out, so that places are known
        known = ~np.isnan(confidences)
        for number in range(len(labels)):
            rows = known & (answers == number)
            places = axes.transData.transform(np.column_stack([days[rows], confidences[rows]]))
            _dots(axes, places, _COLOURS[f"class-{number % CLASS_COLOURS}"])
        axes.axhline(threshold, color=_COLOURS["text"], linestyle=(0, (5, 4)), linewidth=1.2)
        axes.text(
            0.99, threshold, f"threshold {threshold:g} ", transform=axes.get_yaxis_transform(),
            ha="right", va="bottom" if threshold < 0.95 else "top", color=_COLOURS["text"],  # noqa: PLR2004
            bbox={"facecolor": _COLOURS["card"], "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
        )  # fmt: skip
    return drawn[0]


def _dots(axes: Axes, places: Floats, colour: str) -> None:
    """Draw dots at pixels, those on top of each other once: the file grows with the chart, not the data."""
    points = np.repeat(np.unique((places / 2).round() * 2, axis=0), 2, axis=0)
    if len(points):
        path = Path(points, np.tile([Path.MOVETO, Path.LINETO], len(points) // 2))
        path.should_simplify = False
        style: Any = {"facecolor": "none", "edgecolor": colour, "linewidth": 3.2, "capstyle": "round"}
        axes.add_patch(PathPatch(path, transform=IdentityTransform(), **style))


def outcomes_over_time(texts: Sequence[str], counts: Ints) -> Markup:
    """Draw shares of the outcomes, counts [groups, outcomes], as stacked bars."""
    with _chart((WIDTH, HEIGHT), "Shares of outcomes over time; the table has the numbers", grid=False) as (
        axes, drawn,
    ):  # fmt: skip
        shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        below = np.zeros(len(texts))
        for number, name in enumerate(OUTCOMES):
            axes.bar(range(len(texts)), shares[:, number], 0.86, below, color=_COLOURS[name])
            below += shares[:, number]
        axes.set_ylim(0, 100)
        axes.yaxis.set_major_formatter("{x:.0f}%")
        _day_axis(axes, texts)
    return drawn[0]


def time_to_outcome(texts: Sequence[str], seconds: Floats) -> Markup:
    """Draw median and 95th percentile, [groups, 2]."""
    title = "Median and 95th percentile of the time to an outcome; the table has the numbers"
    with _chart((WIDTH, HEIGHT), title) as (axes, drawn):
        for column, name in ((1, "class-1"), (0, "class-0")):
            marker = "o" if len(texts) < 3 else ""  # noqa: PLR2004
            axes.plot(seconds[:, column], color=_COLOURS[name], linewidth=2, marker=marker, markersize=4)
        axes.set_ylim(0, max(float(np.nanmax(seconds)), 0.1) * 1.1)
        axes.yaxis.set_major_formatter("{x:g} s")
        _day_axis(axes, texts)
    return drawn[0]


def _day_axis(axes: Axes, texts: Sequence[str]) -> None:
    every = math.ceil(len(texts) / 5)
    axes.set_xticks(range(0, len(texts), every), [text.partition(" to ")[0] for text in texts[::every]])
    axes.set_xlim(-0.6, len(texts) - 0.4)


def feature_histograms(title: str, baseline: Floats, window: Floats) -> Markup:
    """Draw the distribution of a feature in the baseline, filled, and in the window, as a line."""
    with _chart(SMALL, f"{title}: distribution in the baseline and in these photos", grid=False) as (
        axes, drawn,
    ):  # fmt: skip
        low, high = np.quantile(np.concatenate([baseline, window]), [0.005, 0.995]).tolist()
        low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
        edges = np.linspace(low, high, 25)
        before, after = (
            np.histogram(np.clip(values, low, high), edges)[0] / len(values) for values in (baseline, window)
        )
        axes.stairs(before, edges, fill=True, color=_COLOURS["soft"], alpha=0.3)
        axes.stairs(after, edges, color=_COLOURS["class-0"], linewidth=2)
        axes.set_yticks([])
        axes.set_xlim(low, high)
        axes.set_ylim(0, None)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(0)
    return drawn[0]


class Bucket(NamedTuple):
    """An hour or a day in UTC, or several days where there are many, and which times lie in it."""

    text: str
    rows: slice


def unit_of(times: Floats) -> str:
    """Return what times (seconds since 1970, in order) are grouped by: hours below three days, else days."""
    return "hour" if len(times) and times[-1] - times[0] < _MOST_HOURS * _HOUR else "day"


def by_time(times: Floats, most: int) -> list[Bucket]:
    """Group times by hour or day, or by several days if `most` are exceeded."""
    if not len(times):
        return []
    hours = unit_of(times) == "hour"
    unit, most = (_HOUR, _MOST_HOURS + 1) if hours else (_DAY, most)
    numbers = np.floor(times / unit).astype(np.int64)
    several = math.ceil((numbers[-1] - numbers[0] + 1) / most)
    starts = range(int(numbers[0]), int(numbers[-1]) + 1, several)
    edges = np.searchsorted(numbers, [*starts, numbers[-1] + 1]).tolist()
    buckets = []
    for start, begin, end in zip(starts, edges, edges[1:], strict=False):
        first = datetime.fromtimestamp(start * unit, UTC)
        last = first + timedelta(days=several - 1)
        text = f"{first.day} {first:%b}" + (f" {first:%H:%M}" if hours else "")
        text += "" if several == 1 else f" to {last.day} {last:%b}"
        buckets.append(Bucket(text, slice(begin, end)))
    return buckets


def percentiles(values: Floats, shares: Sequence[float]) -> list[float]:
    """Return percentiles of the known values; nan where none is known."""
    known = values[~np.isnan(values)]
    if not len(known):
        return [math.nan] * len(shares)
    found: list[float] = np.quantile(known, shares).tolist()
    return found
