"""Geometry of the report's charts, drawn as SVG by its template.

Places across are shares of the chart's width in percent, so that a chart has the width of the page or phone
that shows it while its text keeps its size; places down are pixels from the top of the plot.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Units across a path: paths cannot have percentages, the template stretches them.
PATH_WIDTH: Final = 1000
_POINT_STEP: Final = 2  # points nearer than this, in units across, lie on top of each other
_MOST_TICKS: Final = 5
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STEPS: Final = (
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 4, 7, 14, 30, 60, 120, 365, 730, 3650)),
)
_NEAR_EDGE: Final = 6.0  # percent; text nearer to an edge would be cut off if it was centred


@dataclass(frozen=True)
class Tick:
    """A mark on an axis.

    Attributes:
        place: percent across, or pixels down.
        text: its label.
        anchor: SVG's text-anchor.
    """

    place: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class TimeAxis:
    """A span of time, drawn across.

    Attributes:
        first: its start, seconds since 1970.
        last: its end, after the start.
    """

    first: float
    last: float

    @classmethod
    def over(cls, times: Floats) -> "TimeAxis":
        """Return the axis of some times, in order; of a single one, an hour around it."""
        first, last = float(times[0]), float(times[-1])
        return cls(first, last) if last > first else cls(first - _HOUR / 2, last + _HOUR / 2)

    def places(self, times: Floats) -> Floats:
        """Return where times lie, in percent."""
        return 100 * (times - self.first) / (self.last - self.first)

    def ticks(self) -> list[Tick]:
        """Return up to five marks at round times, in UTC."""
        span = self.last - self.first
        step = next((step for step in _STEPS if span / step <= _MOST_TICKS), span / _MOST_TICKS)
        start = math.ceil(self.first / step) * step
        marks = np.arange(start, self.last + 1e-6, step)
        places = self.places(marks).tolist()
        return [
            Tick(round(place, 2), _time_text(mark, step), _anchor(place))
            for mark, place in zip(marks.tolist(), places, strict=True)
        ]


def _anchor(place: float) -> str:
    if place < _NEAR_EDGE:
        return "start"
    return "end" if place > 100 - _NEAR_EDGE else "middle"


def _time_text(mark: float, step: float) -> str:
    time = datetime.fromtimestamp(mark, UTC)
    if step >= 30 * _DAY:
        return f"{time:%b %Y}"
    if step >= _DAY or (time.hour, time.minute) == (0, 0):
        return f"{time.day} {time:%b}"
    return f"{time:%H:%M}"


@dataclass(frozen=True)
class ValueAxis:
    """A range of numbers, drawn upwards.

    Attributes:
        low: the number at the bottom.
        high: the number at the top, above `low`.
        height: pixels between them.
    """

    low: float
    high: float
    height: int

    def places(self, values: Floats) -> Floats:
        """Return where values lie, in pixels from the top; those outside lie at the edge."""
        shares = (values - self.low) / (self.high - self.low)
        found: Floats = self.height * (1 - np.clip(shares, 0, 1))
        return found

    def place(self, value: float) -> float:
        """Return where one value lies."""
        return round(float(self.places(np.array([value]))[0]), 1)

    def ticks(self, count: int = 4) -> list[Tick]:
        """Return marks at round numbers, `count` or somewhat more."""
        step = round_step((self.high - self.low) / count)
        first = math.ceil(self.low / step - 1e-9) * step
        marks = np.arange(first, self.high + step * 1e-6, step).tolist()
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return [Tick(self.place(mark), f"{mark:,.{decimals}f}") for mark in marks]


def round_step(least: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above a number."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= least * (1 + 1e-9))


def round_up(value: float) -> float:
    """Return a number of two digits that is not below a positive number."""
    power = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / power - 1e-9) * power


def dots(across: Floats, down: Floats) -> str:
    """Return an SVG path of one dot for each point, points on top of each other once.

    The path grows with the area of the chart, not with the number of points.

    Args:
        across: percent, [N].
        down: pixels, [N].
    """
    columns = (across * (PATH_WIDTH / 100 / _POINT_STEP)).round().astype(np.int64) * _POINT_STEP
    points = np.unique(np.column_stack([columns, down.round().astype(np.int64)]), axis=0)
    return "".join(f"M{x} {y}h0" for x, y in points.tolist())


def line(across: Floats, down: Floats) -> str:
    """Return an SVG path that joins points; nan breaks it."""
    parts, joined = [], False
    for x, y in zip((across * PATH_WIDTH / 100).tolist(), down.tolist(), strict=True):
        if math.isnan(y):
            joined = False
            continue
        parts.append(f"{'L' if joined else 'M'}{x:.0f} {y:.1f}")
        joined = True
    return "".join(parts)


def steps(heights: Floats, height: int) -> str:
    """Return an SVG path of a histogram's outline over the whole width.

    Args:
        heights: of the bars, 0 to 1, [bins].
        height: of the plot in pixels.
    """
    edges = np.linspace(0, PATH_WIDTH, len(heights) + 1).round(1).tolist()
    tops = (height * (1 - heights)).round(1).tolist()
    parts = [f"M0 {height}"]
    for left, right, top in zip(edges, edges[1:], tops, strict=False):
        parts.append(f"L{left:g} {top:g}H{right:g}")
    return "".join(parts) + f"L{PATH_WIDTH} {height}"


@dataclass(frozen=True)
class Spell:
    """A day, or several where there are many of them.

    Attributes:
        first: the first day.
        days: how many.
        rows: which times belong to it.
    """

    first: datetime
    days: int
    rows: slice

    @property
    def text(self) -> str:
        """The day, or the first and the last."""
        begin = f"{self.first.day} {self.first:%b}"
        last = self.first + timedelta(days=self.days - 1)
        return begin if self.days == 1 else f"{begin} to {last.day} {last:%b}"


def by_day(times: Floats, most: int) -> list[Spell]:
    """Group times by day in UTC, or by several days so that there are at most `most` groups.

    Args:
        times: seconds since 1970, in order.
        most: how many groups there may be.
    """
    if not len(times):
        return []
    numbers = np.floor(times / _DAY).astype(np.int64)
    first, last = int(numbers[0]), int(numbers[-1])
    days = math.ceil((last - first + 1) / most)
    starts = range(first, last + 1, days)
    edges = np.searchsorted(numbers, [*starts, last + 1]).tolist()
    return [
        Spell(datetime.fromtimestamp(start * _DAY, UTC), days, slice(begin, end))
        for start, begin, end in zip(starts, edges, edges[1:], strict=False)
    ]


def percentiles(values: Floats, shares: Sequence[float]) -> list[float]:
    """Return percentiles of the known values; nan where none is known."""
    known = values[~np.isnan(values)]
    if not len(known):
        return [math.nan] * len(shares)
    found: list[float] = np.quantile(known, shares).tolist()
    return found
