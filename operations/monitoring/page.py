"""The report as one HTML file: no scripts, nothing loaded from elsewhere, photos as small thumbnails."""

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
import numpy.typing as npt

from operations.monitoring import charts
from operations.monitoring.capture_record import DamagedRecordError
from operations.monitoring.charts import Tick, TimeAxis, ValueAxis
from operations.monitoring.drift import FALSE_ALARM_RATE, LEAST_DISTANCE, FeatureDrift
from operations.monitoring.photo_features import UnreadablePhotoError, thumbnail
from operations.monitoring.report import Report, meaning, minute
from operations.outcomes import OUTCOMES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

THUMBNAIL_SIDE: Final = 144
SCATTER_HEIGHT: Final = 240
BARS_HEIGHT: Final = 150
LATENCY_HEIGHT: Final = 170
SMALL_HEIGHT: Final = 90
CONFIDENCE_BINS: Final = 25
FEATURE_BINS: Final = 24
MOST_DAYS: Final = 45
# Decimals that a person wants to see of a feature's median.
_DECIMALS: Final = {"bytes": 0, "confidence": 3}
_TINY_P: Final = 1e-6
_UNKNOWN: Final = "-"


@dataclass(frozen=True)
class Photo:
    """A captured photo with what was answered; `image` is a data URI, empty if it was not captured."""

    image: str
    label: str
    confidence: str
    time: str


@dataclass(frozen=True)
class Scatter:
    """Confidence over time: one path of dots a class."""

    series: list[tuple[str, str]]
    threshold: float
    threshold_text: str
    x: list[Tick]
    y: list[Tick]


@dataclass(frozen=True)
class ClassChart:
    """The answers of one class: a histogram of their confidence as (left, width, height, accepted)."""

    label: str
    answers: str
    accepted: str
    median: str
    bars: list[tuple[float, float, float, bool]]
    threshold: float
    low: str


@dataclass(frozen=True)
class Day:
    """The outcomes of a day, or of several: counts and where each outcome's part of the bar is."""

    text: str
    left: float
    width: float
    parts: list[tuple[str, float, float]]
    counts: list[int]
    total: int


@dataclass(frozen=True)
class Latency:
    """Median and 95th percentile of the time to an outcome: paths, and a row for each spell."""

    median: str
    p95: str
    x: list[Tick]
    y: list[Tick]
    rows: list[tuple[str, str, str, str]]


@dataclass(frozen=True)
class FeatureChart:
    """One feature against the baseline: outlines of two histograms, and the test in words."""

    title: str
    drifted: bool
    meaning: str
    baseline: str
    window: str
    low: str
    high: str
    medians: str
    distance: str
    chance: str
    photos: list[Photo]


def render(report: Report, now: datetime) -> str:
    """Return the page.

    Args:
        report: what to show.
        now: when it was made.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = "{:,}".format
    return environment.get_template("report.html.j2").render(_context(report, now))


def _context(report: Report, now: datetime) -> dict[str, Any]:
    photos = _photo_reader(report)
    compared = () if report.drift is None else report.drift.features
    return {
        "report": report,
        "made": f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "span": _span(report),
        "verdict": "none" if report.drift is None else "drift" if report.drift.drifted else "good",
        "tiles": _tiles(report),
        "steps": report.next_steps(),
        "scatter": _scatter(report),
        "classes": _classes(report),
        "days": _days(report),
        "outcomes": OUTCOMES,
        "latency": _latency(report),
        "least": [photos(row) for row in report.least_confident()],
        "most": [photos(row) for row in report.most_confident()],
        "features": [_feature(report, one, photos) for one in compared],
        "false_alarms": f"{FALSE_ALARM_RATE:.2%}",
        "least_distance": f"{LEAST_DISTANCE:.0%}",
        "heights": {
            "scatter": SCATTER_HEIGHT,
            "bars": BARS_HEIGHT,
            "latency": LATENCY_HEIGHT,
            "small": SMALL_HEIGHT,
        },
        "path_width": charts.PATH_WIDTH,
    }


# ------------------------------------------------------------------ the head


def _span(report: Report) -> str:
    first, last = report.span()
    if math.isnan(first):
        return "no records"
    return f"{minute(first)} to {minute(last)} UTC"


def _tiles(report: Report) -> list[tuple[str, str, str]]:
    """Return the figures of the head: value, what it is, and a kind for its colour."""
    tiles: list[tuple[str, str, str]] = []
    window, history = report.captured, report.history
    if window is not None:
        accepted = float((window.confidences >= report.threshold).mean())
        tiles += [
            (f"{len(window):,}", "photos captured", ""),
            (f"{accepted:.1%}", f"at or above the threshold {report.threshold:g}", ""),
            (f"{float(np.median(window.confidences)):.3f}", "median confidence", ""),
        ]
    if report.window is not None:
        damaged = report.window.damage.total
        tiles.append((f"{damaged:,}", "damaged records", "bad" if damaged else ""))
    if history is not None and len(history):
        counts = history.counts()
        tiles += [(f"{counts[name]:,}", name, name) for name in OUTCOMES]
        median, p95 = charts.percentiles(history.seconds, (0.5, 0.95))
        tiles.append((_seconds(median), f"median time to outcome, p95 {_seconds(p95)}", ""))
    return tiles


# ------------------------------------------------------------------ charts


def _scatter(report: Report) -> Scatter | None:
    if report.captured is not None:
        times, values, answers = report.captured.times, report.captured.confidences, report.captured.answers
    elif report.history is not None and len(report.history):
        times, values, answers = report.history.times, report.history.confidences, report.history.answers
    else:
        return None
    x = TimeAxis.over(times)
    y = ValueAxis(_lowest(report), 1.0, SCATTER_HEIGHT)
    known = ~np.isnan(values)
    series = [
        (label, charts.dots(x.places(times[rows]), y.places(values[rows])))
        for label, rows in ((label, known & (answers == n)) for n, label in enumerate(report.labels))
    ]
    return Scatter(series, y.place(report.threshold), f"{report.threshold:g}", x.ticks(), y.ticks())


def _lowest(report: Report) -> float:
    """Return where axes of confidence begin: the most probable of K classes has at least 1 / K."""
    return math.floor(10 / len(report.labels)) / 10


def _classes(report: Report) -> list[ClassChart]:
    window = report.captured
    if window is None:
        return []
    low = _lowest(report)
    edges = np.linspace(low, 1, CONFIDENCE_BINS + 1)
    counted = [
        np.histogram(window.confidences[window.answers == n], edges)[0] for n in range(len(report.labels))
    ]
    most = max(1, *(int(counts.max()) for counts in counted))
    width = 100 / CONFIDENCE_BINS
    found = []
    for row, counts in zip(report.classes(), counted, strict=True):
        bars = [
            # Square roots, so that the few doubtful answers are seen beside the many sure ones.
            (
                round(n * width, 2),
                width,
                round(SMALL_HEIGHT * math.sqrt(count / most), 1),
                bool(edge >= report.threshold - 1e-9),
            )
            for n, (count, edge) in enumerate(zip(counts.tolist(), edges.tolist(), strict=False))
            if count
        ]
        found.append(
            ClassChart(
                label=row.label,
                answers=f"{row.answers:,}",
                accepted=f"{row.accepted / row.answers:.1%}" if row.answers else _UNKNOWN,
                median=_UNKNOWN if math.isnan(row.median) else f"{row.median:.3f}",
                bars=bars,
                threshold=round(100 * (report.threshold - low) / (1 - low), 2),
                low=f"{low:g}",
            )
        )
    return found


def _days(report: Report) -> list[Day]:
    history, window = report.history, report.captured
    if history is not None and len(history):
        times, outcomes = history.times, history.outcomes
    elif window is not None:
        # Without the results table: what the threshold makes of the answers.
        times = window.times
        outcomes = np.where(
            window.confidences >= report.threshold,
            OUTCOMES.index("ACCEPTED"),
            OUTCOMES.index("LOW_CONFIDENCE"),
        ).astype(np.int64)
    else:
        return []
    spells = charts.by_day(times, MOST_DAYS)
    width = 100 / len(spells)
    return [
        _day(spell.text, outcomes[spell.rows], round(n * width, 3), width) for n, spell in enumerate(spells)
    ]


def _day(text: str, outcomes: Ints, left: float, width: float) -> Day:
    counts = np.bincount(outcomes, minlength=len(OUTCOMES)).tolist()
    total, top = sum(counts), float(BARS_HEIGHT)
    parts = []
    for name, count in zip(OUTCOMES, counts, strict=True):
        if count:
            height = BARS_HEIGHT * count / total
            top -= height
            parts.append((name, round(top, 1), round(height, 1)))
    return Day(text, left, width, parts, counts, total)


def _latency(report: Report) -> Latency | None:
    history = report.history
    if history is None or not len(history) or np.isnan(history.seconds).all():
        return None
    spells = charts.by_day(history.times, MOST_DAYS)
    found = [(spell, charts.percentiles(history.seconds[spell.rows], (0.5, 0.95))) for spell in spells]
    values = np.array([pair for _, pair in found])
    y = ValueAxis(0, charts.round_up(max(float(np.nanmax(values)), 0.1)), LATENCY_HEIGHT)
    middles = np.array([(n + 0.5) * 100 / len(spells) for n in range(len(spells))])
    every = math.ceil(len(spells) / 6)
    return Latency(
        median=charts.line(middles, y.places(values[:, 0])),
        p95=charts.line(middles, y.places(values[:, 1])),
        x=[Tick(round(float(middles[n]), 2), spells[n].text) for n in range(0, len(spells), every)],
        y=y.ticks(3),
        rows=[
            (spell.text, f"{spell.rows.stop - spell.rows.start:,}", _seconds(pair[0]), _seconds(pair[1]))
            for spell, pair in found
        ],
    )


def _seconds(value: float) -> str:
    return _UNKNOWN if math.isnan(value) else f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"  # noqa: PLR2004


# ------------------------------------------------------------------ drift


def _feature(report: Report, feature: FeatureDrift, photos: Callable[[int], Photo]) -> FeatureChart:
    pooled = np.concatenate([feature.baseline, feature.window])
    low, high = np.quantile(pooled, [0.005, 0.995]).tolist()
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, FEATURE_BINS + 1)
    shares = [_shares(values, edges) for values in (feature.baseline, feature.window)]
    most = max(float(part.max()) for part in shares)
    before, after = float(np.median(feature.baseline)), float(np.median(feature.window))
    decimals = _DECIMALS.get(feature.name, 2)
    return FeatureChart(
        title=feature.name.replace("_", " ").capitalize(),
        drifted=feature.drifted,
        meaning=meaning(feature),
        baseline=charts.steps(shares[0] / most, SMALL_HEIGHT),
        window=charts.steps(shares[1] / most, SMALL_HEIGHT),
        low=f"{low:,.{decimals}f}",
        high=f"{high:,.{decimals}f}",
        medians=f"{before:,.{decimals}f} → {after:,.{decimals}f}",
        distance=f"{feature.distance:.0%}",
        chance=_chance(feature.p_value),
        photos=[photos(row) for row in report.responsible(feature)],
    )


def _shares(values: Floats, edges: Floats) -> Floats:
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    found: Floats = counts / len(values)
    return found


def _chance(p_value: float) -> str:
    return "< 0.000001" if p_value < _TINY_P else f"{p_value:.2g}"


# ------------------------------------------------------------------ photos


def _photo_reader(report: Report) -> Callable[[int], Photo]:
    """Return a function that reads the photo of a record as a thumbnail, each one once."""
    seen: dict[int, Photo] = {}

    def photo(row: int) -> Photo:
        if row not in seen:
            seen[row] = _photo(report, row)
        return seen[row]

    return photo


def _photo(report: Report, row: int) -> Photo:
    record = report.record(row)
    try:
        body = None if report.window is None else report.window.photo(row)
        small = b"" if body is None else thumbnail(body, THUMBNAIL_SIDE)
    except (UnreadablePhotoError, DamagedRecordError, OSError):  # the file has changed since it was read
        small = b""
    return Photo(
        image=f"data:image/jpeg;base64,{base64.b64encode(small).decode()}" if small else "",
        label=record["label"],
        confidence=f"{record['confidence']:.3f}",
        time=record["time"].replace("T", " ").removesuffix("Z"),
    )
