"""The report as data: figures ready for JSON, and the records that its page shows."""

import math
import shlex
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from commandline.terminal import plural
from operations.outcomes import OUTCOMES
from operations.report.captures import Floats, Ints, Window
from operations.report.charts import percentiles
from operations.report.drift import Drift, FeatureDrift, responsible
from operations.results import Record

SHOWN_PHOTOS: Final = 12
SHOWN_RESPONSIBLE: Final = 6
LATENCY_SHARES: Final = (0.5, 0.95, 0.99)

# What a drifted feature means: its values are lower, or higher.
_MEANING: Final = {
    "confidence": ("the model is less sure", "the model is surer"),
    "brightness": ("photos are darker", "photos are brighter"),
    "contrast": ("photos have less contrast", "photos have more contrast"),
    "colourfulness": ("photos are less colourful", "photos are more colourful"),
    "sharpness": ("photos are less sharp", "photos are sharper"),
    "aspect_ratio": ("photos are narrower", "photos are wider"),
    "bytes": ("image files are smaller", "image files are larger"),
}
_RETRAIN: Final = (
    "If drivers will go on sending photos like these: decide on the doubtful ones (scones review), learn "
    "from them, and deploy the new model if it is better:"
)
_PROBABILITY: Final = "probability of "


@dataclass(frozen=True)
class History:
    """The outcomes of M photos in the order of time; arrays are [M]."""

    times: Floats  # of the record, seconds since 1970
    outcomes: Ints  # index into OUTCOMES
    seconds: Floats  # from the execution's start to the record; nan if it is not known
    confidences: Floats  # nan where nothing was answered
    answers: Ints  # index of each answer's label; -1 where there was none
    threshold: float | None  # the confidence that the newest record needed
    unreadable: int  # records without an outcome or a time

    def __len__(self) -> int:
        """Return the number of usable records."""
        return len(self.times)

    def counts(self) -> dict[str, int]:
        """Return the number of photos by outcome."""
        found = np.bincount(self.outcomes, minlength=len(OUTCOMES))
        return dict(zip(OUTCOMES, found.tolist(), strict=True))


def read_history(records: Iterable[Record], labels: Sequence[str]) -> History:
    """Read records, in any order, without keeping them; an answer of another label counts as none."""
    classes: dict[str | None, int] = {label: number for number, label in enumerate(labels)}
    numbers = {name: number for number, name in enumerate(OUTCOMES)}
    rows = array("d")
    newest, threshold, unreadable = -np.inf, None, 0
    for record in records:
        recorded = _seconds(record.recorded_at)
        if record.outcome not in numbers or np.isnan(recorded):
            unreadable += 1
            continue
        confidence = np.nan if record.confidence is None else record.confidence
        took = recorded - _seconds(record.started_at)
        rows.extend((recorded, numbers[record.outcome], took, confidence, classes.get(record.label, -1)))
        if record.threshold is not None and recorded > newest:
            newest, threshold = recorded, record.threshold
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    times, outcomes, seconds, confidences, answers = table[np.argsort(table[:, 0], kind="stable")].T
    codes = outcomes.astype(np.int64), answers.astype(np.int64)
    return History(times, codes[0], seconds, confidences, codes[1], threshold, unreadable)


def _seconds(text: str | None) -> float:
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return float("nan")


@dataclass(frozen=True)
class Report:
    """Everything that a report is made of."""

    window: Window | None  # None if the endpoint captures nothing
    history: History | None  # None if no stack was named
    drift: Drift | None  # None if there is no baseline, or nothing captured
    threshold: float
    labels: tuple[str, ...]
    command: tuple[str, ...]  # makes this report again, without a baseline
    keys: Mapping[int, str] = field(default_factory=dict)  # of the photos of records, where they are known

    @property
    def captured(self) -> Window | None:
        """The window, if it has any usable records."""
        return self.window if self.window is not None and len(self.window) else None

    @property
    def drifted(self) -> list[FeatureDrift]:
        """The features that drifted, the largest difference first; none if nothing was compared."""
        return self.drift.drifted if self.drift else []

    def as_json(self) -> dict[str, Any]:
        """Return the object that `scones report --json` prints."""
        first, last = self.span()
        history = self.history
        latency = None
        if history is not None:
            found = percentiles(history.seconds, LATENCY_SHARES)
            latency = {
                f"p{100 * share:.0f}": None if math.isnan(one) else round(one, 4)
                for share, one in zip(LATENCY_SHARES, found, strict=True)
            }
        return {
            "from": iso(first),
            "to": iso(last),
            "labels": list(self.labels),
            "threshold": self.threshold,
            "captures": self._captures(),
            "outcomes": None if history is None else history.counts(),
            "results_unreadable": None if history is None else history.unreadable,
            "latency_s": latency,
            "drift": None if self.drift is None else self._drift(self.drift),
        }

    def span(self) -> tuple[float, float]:
        """Return the times of the first and the last record; nan if there is none."""
        times = [part.times for part in (self.captured, self.history) if part is not None and len(part)]
        if not times:
            return math.nan, math.nan
        return min(float(part[0]) for part in times), max(float(part[-1]) for part in times)

    def _captures(self) -> dict[str, Any] | None:
        if self.window is None:
            return None
        damage = self.window.damage
        return {
            "source": self.window.source.name,
            "files": len(self.window.files),
            "records": len(self.window),
            "damaged": damage.counts.total(),
            "damage": {
                kind: {"records": count, "examples": damage.examples[kind]}
                for kind, count in damage.counts.items()
            },
            "classes": self.classes(),
            "least_confident": [self.record(row) for row in self.by_confidence()],
            "most_confident": [self.record(row) for row in self.by_confidence(most=True)],
        }

    def _drift(self, drift: Drift) -> dict[str, Any]:
        return {
            "drifted": bool(drift.drifted),
            "meaning": [meaning(feature) for feature in drift.drifted],
            "baseline_records": drift.baseline.records,
            "baseline_from": iso(drift.baseline.first),
            "baseline_to": iso(drift.baseline.last),
            "not_compared": list(drift.not_compared),
            "features": [
                {
                    "feature": feature.name,
                    "drifted": feature.drifted,
                    "distance": round(feature.difference.distance, 4),
                    "p_value": feature.p_value,
                    "baseline_median": round(float(np.median(feature.baseline)), 4),
                    "median": round(float(np.median(feature.window)), 4),
                    "photos": [self.record(row) for row in self.responsible(feature)],
                }
                for feature in drift.features
            ],
        }

    def classes(self) -> list[dict[str, Any]]:
        """Return the answers by class; `accepted` are those that reached the threshold."""
        window = self.captured
        if window is None:
            return []
        rows = []
        for number, label in enumerate(self.labels):
            found = window.confidences[window.answers == number]
            median = round(float(np.median(found)), 4) if len(found) else None
            accepted = int((found >= self.threshold).sum())
            rows.append(
                {"label": label, "answers": len(found), "accepted": accepted, "median_confidence": median}
            )
        return rows

    def by_confidence(self, *, most: bool = False) -> list[int]:
        """Return the records whose answers were least confident, the least first, or the most."""
        if self.captured is None:
            return []
        order = np.argsort((-1 if most else 1) * self.captured.confidences, kind="stable")
        return self.captured.distinct(order, SHOWN_PHOTOS)

    def responsible(self, feature: FeatureDrift) -> list[int]:
        """Return the records that make a feature differ; none if it did not drift."""
        if self.captured is None or not feature.drifted:
            return []
        values = self.captured.features()[feature.name]
        return self.captured.distinct(responsible(feature.difference, values), SHOWN_RESPONSIBLE)

    def shown(self) -> set[int]:
        """Return the records whose photos are shown."""
        rows = {*self.by_confidence(), *self.by_confidence(most=True)}
        return rows.union(*map(self.responsible, self.drifted))

    def record(self, row: int) -> dict[str, Any]:
        """Return what is known of a captured record, without its photo."""
        window = self.window
        if window is None:
            raise ValueError("nothing was captured")
        file, offset, _ = window.places[row].tolist()
        return {
            "file": window.files[file],
            "offset": offset,
            "time": iso(float(window.times[row])),
            "label": window.labels[int(window.answers[row])],
            "confidence": round(float(window.confidences[row]), 6),
            "key": self.keys.get(row),
        }

    def headline(self) -> str:
        """Return in a few words what the comparison with the baseline gave."""
        if self.drift is None:
            return "Not compared with a baseline"
        if not self.drifted:
            return "No drift"
        more = f", and {plural(len(self.drifted) - 1, 'more change')}" if len(self.drifted) > 1 else ""
        return f"Drift: {meaning(self.drifted[0])}{more}"

    def explanation(self) -> str:
        """Return in a sentence or two what was compared, and every change."""
        if self.drift is None:
            why = "no baseline was given" if self.captured else "there are no captured photos"
            return f"Whether photos have changed is not known: {why}."
        baseline = self.drift.baseline
        compared = (
            f"{plural(len(self.window or ()), 'photo')} compared with {baseline.records:,} of the "
            f"baseline ({minute(baseline.first)} to {minute(baseline.last)} UTC)."
        )
        if not self.drifted:
            return f"Photos and answers are like those of the baseline. {compared}"
        changes = ", ".join(f"{meaning(one)} ({one.difference.distance:.0%} moved)" for one in self.drifted)
        return f"{changes[0].upper()}{changes[1:]}. {compared}"

    def next_steps(self) -> list[tuple[str, str]]:
        """Return what to do about drift: a sentence and a command each."""
        keep = shlex.join([*self.command, "--write-baseline", "baseline.json"])
        if self.drift is None:
            sentence = "Keep these photos as the baseline for later reports:"
            return [] if self.captured is None else [(sentence, keep)]
        if not self.drifted:
            return []
        sentence = "If the change is wanted, make these photos the new baseline:"
        return [(_RETRAIN, "scones model learn --from-desk"), (sentence, keep)]


def meaning(feature: FeatureDrift) -> str:
    """Return in plain words how a feature changed."""
    higher = feature.difference.higher
    if feature.name in _MEANING:
        return _MEANING[feature.name][higher]
    return f"{'more' if higher else 'fewer'} answers lean towards {feature.name.removeprefix(_PROBABILITY)}"


def minute(time: float) -> str:
    """Return a time for people, UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"


def iso(time: float) -> str | None:
    """Return a time in ISO 8601, UTC, whole seconds; None for nan."""
    return None if math.isnan(time) else f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}"
