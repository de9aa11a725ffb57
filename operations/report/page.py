"""The report as one HTML file: no scripts, nothing loaded from elsewhere, photos as small thumbnails."""

import base64
import math
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
from markupsafe import Markup

from commandline.terminal import visible
from operations.outcomes import OUTCOMES
from operations.photos.pictures import CannotBeShownError, jpeg
from operations.report import charts
from operations.report.captures import DamagedRecordError, Floats
from operations.report.drift import FALSE_ALARM_RATE, LEAST_DISTANCE, FeatureDrift
from operations.report.figures import Report, meaning, minute

Photos = Callable[[int], dict[str, str]]

THUMBNAIL_SIDE: Final = 144
MOST_DAYS: Final = 45
# Decimals that a person wants to see of a feature's median.
_DECIMALS: Final = {"bytes": 0, "confidence": 3}
_TINY_P: Final = 1e-6


def render(report: Report, now: datetime) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Names from outside, without control characters; charts, which are Markup, are ours.
        finalize=lambda value: visible(value, kept="\n") if type(value) is str else value,
    )
    environment.filters |= {"count": "{:,}".format, "seconds": _seconds}
    photos = cache(partial(_photo, report))
    first, last = report.span()
    answers, scatter = report.captured or report.history, None
    if answers is not None and len(answers):
        facts = answers.times, answers.confidences, answers.answers
        scatter = charts.confidence_over_time(*facts, report.labels, report.threshold)
    return environment.get_template("report.html.j2").render(
        report=report,
        made=minute(now.timestamp()),
        span="no records" if math.isnan(first) else f"{minute(first)} to {minute(last)} UTC",
        tiles=_tiles(report),
        steps=report.next_steps(),
        scatter=scatter,
        classes=report.classes(),
        days=_days(report),
        outcomes=OUTCOMES,
        latency=_latency(report),
        least=[photos(row) for row in report.by_confidence()],
        most=[photos(row) for row in report.by_confidence(most=True)],
        features=[_feature(report, one, photos) for one in (report.drift.features if report.drift else ())],
        false_alarms=f"{FALSE_ALARM_RATE:.2%}",
        least_distance=f"{LEAST_DISTANCE:.0%}",
    )


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
        damaged = report.window.damage.counts.total()
        tiles.append((f"{damaged:,}", "damaged records", "bad" if damaged else ""))
    if history is not None and len(history):
        tiles += [(f"{count:,}", name, name) for name, count in history.counts().items()]
        median, p95 = charts.percentiles(history.seconds, (0.5, 0.95))
        tiles.append((_seconds(median), f"median time to outcome, p95 {_seconds(p95)}", ""))
    return tiles


def _days(report: Report) -> dict[str, Any] | None:
    history, window = report.history, report.captured
    if history is not None and len(history):
        times, outcomes = history.times, history.outcomes
    elif window is not None:  # without the results table: what the threshold makes of the answers
        accepted, doubtful = OUTCOMES.index("ACCEPTED"), OUTCOMES.index("LOW_CONFIDENCE")
        times, outcomes = window.times, np.where(window.confidences >= report.threshold, accepted, doubtful)
    else:
        return None
    counts = partial(np.bincount, minlength=len(OUTCOMES))
    return _over_time(times, lambda rows: counts(outcomes[rows]), charts.outcomes_over_time)


def _latency(report: Report) -> dict[str, Any] | None:
    history = report.history
    if history is None or not len(history) or np.isnan(history.seconds).all():
        return None
    seconds = history.seconds
    return _over_time(
        history.times, lambda rows: charts.percentiles(seconds[rows], (0.5, 0.95)), charts.time_to_outcome
    )


def _over_time(
    times: Floats, figures: Callable[[slice], Any], draw: Callable[[list[str], Any], Markup]
) -> dict[str, Any]:
    """Return figures by hour or day: as a chart, and as rows of text, number of photos and figures."""
    buckets = charts.by_time(times, MOST_DAYS)
    found = np.array([figures(one.rows) for one in buckets])
    rows = [
        (one.text, one.rows.stop - one.rows.start, cells)
        for one, cells in zip(buckets, found.tolist(), strict=True)
    ]
    chart = draw([one.text for one in buckets], found)
    return {"unit": charts.unit_of(times), "chart": chart, "rows": rows}


def _seconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"  # noqa: PLR2004


def _feature(report: Report, feature: FeatureDrift, photos: Photos) -> dict[str, Any]:
    title = feature.name.replace("_", " ").capitalize()
    decimals = _DECIMALS.get(feature.name, 2)
    before, after = float(np.median(feature.baseline)), float(np.median(feature.window))
    return {
        "title": title,
        "drifted": feature.drifted,
        "meaning": meaning(feature),
        "chart": charts.feature_histograms(title, feature.baseline, feature.window),
        "medians": f"{before:,.{decimals}f} → {after:,.{decimals}f}",
        "distance": f"{feature.difference.distance:.0%}",
        "chance": "< 0.000001" if feature.p_value < _TINY_P else f"{feature.p_value:.2g}",
        "photos": [photos(row) for row in report.responsible(feature)],
    }


def _photo(report: Report, row: int) -> dict[str, str]:
    """Return a captured photo with what was answered; `image` is empty if it was not captured."""
    record = report.record(row)
    try:
        body = report.window.record(row).photo if report.window else None
        small = b"" if body is None else jpeg(body, THUMBNAIL_SIDE)
    except (CannotBeShownError, DamagedRecordError, OSError):  # the file has changed since it was read
        small = b""
    return {
        "image": f"data:image/jpeg;base64,{base64.b64encode(small).decode()}" if small else "",
        "label": record["label"],
        "confidence": f"{record['confidence']:.3f}",
        "key": record["key"] or "",
        "time": record["time"].replace("T", " ").removesuffix("Z"),
    }
