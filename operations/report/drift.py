"""Whether a window's photos and answers differ from the baseline's.

Each feature is compared by a two-sample Kolmogorov-Smirnov test, all of them together at a family-wise
error rate of FALSE_ALARM_RATE (Bonferroni). That rate is a quarter of the 1 % that is promised: many windows
are compared with one baseline, which is a sample itself, and an unlucky one raises the rate of all of them.

A difference counts only if it is also large enough to matter: with thousands of photos every test finds
differences that nobody would act upon.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from commandline.errors import CommandError, UsageError
from operations.report.captures import Floats, Ints, Window

FORMAT: Final = 1
# Of larger windows a random sample is kept and compared. It shows every change of a tenth of the photos, and
# more values would only show smaller changes.
SAMPLE_SIZE: Final = 5_000
FALSE_ALARM_RATE: Final = 0.0025
# Share of photos on another side of some value; a shift by a quarter of a standard deviation.
LEAST_DISTANCE: Final = 0.1
# Distances beyond this many times sqrt(1 / m + 1 / n) have p < 1e-17: Smirnov's limit will do.
_NEGLIGIBLE: Final = 4.5
_SEED: Final = 0


@dataclass(frozen=True)
class Statistics:
    """Samples of the features of a window: a baseline. Features that are not known are left out."""

    labels: tuple[str, ...]
    records: int
    first: float  # time of the first record, seconds since 1970
    last: float
    features: dict[str, Floats]  # up to SAMPLE_SIZE values of each


def statistics_of(window: Window) -> Statistics:
    """Return the statistics of a window; CommandError if it has no records."""
    if not len(window):
        raise CommandError(f"{window.source.name}: no usable records to compare with")
    first, last = window.times[[0, -1]].tolist()
    return Statistics(window.labels, len(window), first, last, sampled(window))


def sampled(window: Window) -> dict[str, Floats]:
    """Return each known feature of a window, of large windows those of a random sample of its records."""
    rows = np.arange(len(window))
    if len(rows) > SAMPLE_SIZE:
        rows = np.random.default_rng(_SEED).choice(len(window), SAMPLE_SIZE, replace=False)
    chosen = {name: values[rows] for name, values in window.features().items()}
    known = {name: values[~np.isnan(values)] for name, values in chosen.items()}
    return {name: values for name, values in known.items() if len(values)}


def to_json(statistics: Statistics) -> str:
    """Return statistics as the text of a baseline file."""
    features = {name: np.sort(values).tolist() for name, values in statistics.features.items()}
    return json.dumps({"format": FORMAT, **vars(statistics), "features": features})


def from_json(text: str, name: str) -> Statistics:
    """Return the statistics that a baseline file holds; UsageError, with its name, if it holds none."""
    try:
        return _statistics(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{name} is not a baseline file ({error}): give one that `scones report --write-baseline` "
            "wrote, a folder of captures, or s3://BUCKET/PREFIX"
        ) from error


def _statistics(content: Any) -> Statistics:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
    features = {str(name): np.array(values, np.float64) for name, values in content["features"].items()}
    if not all(one.ndim == 1 and len(one) and np.isfinite(one).all() for one in features.values()):
        raise ValueError("a feature is not a list of numbers")
    records, first, last = int(content["records"]), float(content["first"]), float(content["last"])
    return Statistics(tuple(map(str, content["labels"])), records, first, last, features)


class Difference(NamedTuple):
    """How two samples differ, by a two-sample Kolmogorov-Smirnov test with an exact p-value."""

    distance: float  # the test's statistic: the largest one of the two distribution functions, 0 to 1
    value: float  # where that is; the shares of values up to it are compared
    higher: bool  # whether the second sample has the higher values there
    p_value: float


def compare(first: Floats, second: Floats) -> Difference:
    """Test whether two samples (not empty) are of one distribution; ties can only make p too large."""
    m, n = len(first), len(second)
    first, second = np.sort(first), np.sort(second)
    places = np.concatenate([first, second])
    # In units of 1 / (m n), so that equal distances are equal numbers.
    below_first = np.searchsorted(first, places, side="right").astype(np.int64) * n
    below_second = np.searchsorted(second, places, side="right").astype(np.int64) * m
    gaps = below_first - below_second
    where = int(np.argmax(np.abs(gaps)))
    steps, value = int(abs(gaps[where])), float(places[where])
    return Difference(steps / (m * n), value, bool(gaps[where] > 0), exact_p_value(steps, m, n))


def exact_p_value(steps: int, m: int, n: int) -> float:
    """Return the probability of a distance of at least steps / (m n) between samples of one distribution.

    Counts the orders of the pooled values whose distance stays below `steps`: lattice paths from (0, 0) to
    (m, n) inside a band (Hodges 1958, The significance probability of the Smirnov two-sample test). Row by
    row, a cell's number of paths is the sum of those of its two predecessors. The numbers are weighted with
    the probability of such paths in a random walk along the diagonal, so that they neither overflow nor
    vanish for samples of up to 10,000 values. The p-value is accurate to about 1e-10.
    """
    if steps <= 0:
        return 1.0
    m, n = min(m, n), max(m, n)
    scaled = steps / math.sqrt(m * n * (m + n))
    if scaled > _NEGLIGIBLE:
        return min(1.0, 2 * math.exp(-2 * scaled**2))
    across, down = math.log(n / (m + n)), math.log(m / (m + n))
    weight = math.exp(down + across * n / m)
    rows = np.arange(m + 1, dtype=np.int64) * n
    lows = np.maximum((rows - steps) // m + 1, 0).tolist()
    highs = np.minimum((rows + steps - 1) // m + 1, n + 1).tolist()
    inside = np.zeros(n + 1)
    inside[: highs[0]] = 1.0
    for low, high in zip(lows[1:], highs[1:], strict=True):
        inside[:low] = 0.0
        inside[low:high] = np.cumsum(inside[low:high] * weight)
    paths = math.lgamma(m + n + 1) - math.lgamma(m + 1) - math.lgamma(n + 1)
    share = inside[n] / math.exp(paths + m * down + n * across)
    return float(min(max(1.0 - share, 0.0), 1.0))


@dataclass(frozen=True)
class FeatureDrift:
    """How one feature differs from the baseline."""

    name: str
    baseline: Floats
    window: Floats
    difference: Difference
    p_value: float  # times the number of features compared, 1 at most

    @property
    def drifted(self) -> bool:
        """Whether that is more than chance, and enough to matter."""
        return self.p_value <= FALSE_ALARM_RATE and self.difference.distance >= LEAST_DISTANCE


@dataclass(frozen=True)
class Drift:
    """What comparing a window with a baseline gave."""

    baseline: Statistics
    features: tuple[FeatureDrift, ...]
    not_compared: tuple[str, ...]  # names of the features that only one of them has

    @property
    def drifted(self) -> list[FeatureDrift]:
        """The features that drifted, the largest difference first."""
        found = [feature for feature in self.features if feature.drifted]
        return sorted(found, key=lambda feature: -feature.difference.distance)


def detect_drift(baseline: Statistics, labels: tuple[str, ...], features: dict[str, Floats]) -> Drift:
    """Compare a window's `sampled` features with a baseline; UsageError if that is of other labels."""
    if baseline.labels != labels:
        raise UsageError(
            f"the baseline is of the labels {', '.join(baseline.labels)}, the captures are of "
            f"{', '.join(labels)}: give a baseline of the same labels, or name them with --labels"
        )
    found, common = [], [name for name in features if name in baseline.features]
    for name in common:
        difference = compare(baseline.features[name], features[name])
        p_value = min(1.0, difference.p_value * len(common))
        found.append(FeatureDrift(name, baseline.features[name], features[name], difference, p_value))
    return Drift(baseline, tuple(found), tuple(sorted(set(features) ^ set(baseline.features))))


def responsible(difference: Difference, values: Floats) -> Ints:
    """Return the rows whose values (nan: not known) make a feature differ, the most extreme first."""
    beyond = values > difference.value if difference.higher else values <= difference.value
    rows = np.flatnonzero(beyond)
    return rows[np.argsort(-values[rows] if difference.higher else values[rows], kind="stable")]
