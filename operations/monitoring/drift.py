"""Whether a window's photos and answers differ from the baseline's.

Each feature is compared by a two-sample Kolmogorov-Smirnov test, all of them together at a family-wise
error rate of FALSE_ALARM_RATE (Bonferroni). That rate is a quarter of the 1 % that is promised: many windows
are compared with one baseline, which is a sample itself, and an unlucky one raises the rate of all of them.

A difference counts only if it is also large enough to matter: with thousands of photos every test finds
differences that nobody would act upon.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from commandline.errors import UsageError
from operations.monitoring.baseline import Statistics
from operations.monitoring.kolmogorov_smirnov import compare

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FALSE_ALARM_RATE: Final = 0.0025
# Share of photos on another side of some value; a shift by a quarter of a standard deviation.
LEAST_DISTANCE: Final = 0.1


@dataclass(frozen=True)
class FeatureDrift:
    """How one feature differs from the baseline.

    Attributes:
        name: the feature.
        baseline: its values in the baseline, sorted.
        window: its values in the window, sorted.
        distance: the test's statistic: the largest difference of the shares of photos up to some value.
        value: that value.
        higher: whether the window's values are the higher ones there.
        p_value: times the number of features compared, 1 at most.
        drifted: whether it counts as drift.
    """

    name: str
    baseline: Floats
    window: Floats
    distance: float
    value: float
    higher: bool
    p_value: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """What comparing a window with a baseline gave.

    Attributes:
        baseline: what it was compared with.
        features: of each feature that both have.
        not_compared: names of the features that only one of them has.
    """

    baseline: Statistics
    features: tuple[FeatureDrift, ...]
    not_compared: tuple[str, ...]

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """The features that drifted, the largest difference first."""
        found = [feature for feature in self.features if feature.drifted]
        return tuple(sorted(found, key=lambda feature: -feature.distance))


def detect_drift(baseline: Statistics, labels: tuple[str, ...], features: dict[str, Floats]) -> Drift:
    """Compare a window with a baseline.

    Args:
        baseline: the baseline's statistics.
        labels: the window's labels.
        features: the window's features by name, as `baseline.sampled` returns them.

    Raises:
        UsageError: the baseline is of other labels.
    """
    if baseline.labels != labels:
        raise UsageError(
            f"the baseline is of the labels {', '.join(baseline.labels)}, the captures are of "
            f"{', '.join(labels)}: give a baseline of the same labels, or name them with --labels"
        )
    common = [name for name in features if name in baseline.features]
    found = [_compare(name, baseline.features[name], features[name], len(common)) for name in common]
    only_one = sorted(set(features) ^ set(baseline.features))
    return Drift(baseline, tuple(found), tuple(only_one))


def _compare(name: str, baseline: Floats, window: Floats, compared: int) -> FeatureDrift:
    difference = compare(baseline, window)
    adjusted = min(1.0, difference.p_value * compared)
    return FeatureDrift(
        name=name,
        baseline=np.sort(baseline),
        window=np.sort(window),
        distance=difference.statistic,
        value=difference.value,
        higher=difference.higher,
        p_value=adjusted,
        drifted=adjusted <= FALSE_ALARM_RATE and difference.statistic >= LEAST_DISTANCE,
    )


def responsible(drift: FeatureDrift, values: Floats) -> Ints:
    """Return the rows of the photos that make a feature differ, the most extreme first.

    Args:
        drift: how it differs.
        values: the feature of every record of the window, nan where it is not known.
    """
    beyond = values > drift.value if drift.higher else values <= drift.value
    rows = np.flatnonzero(beyond)
    return rows[np.argsort(-values[rows] if drift.higher else values[rows], kind="stable")]
