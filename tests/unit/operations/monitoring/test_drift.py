"""Drift is told when there is some, and (nearly) never when there is none."""

import numpy as np
import numpy.typing as npt
import pytest

from commandline.errors import UsageError
from operations.monitoring.baseline import Statistics
from operations.monitoring.drift import LEAST_DISTANCE, Drift, detect_drift, responsible

LABELS = ("bicycle", "motorcycle")
FEATURES = [f"feature {number}" for number in range(8)]

Floats = npt.NDArray[np.float64]


def baseline_of(values: Floats) -> Statistics:
    return Statistics(LABELS, len(values), 0.0, 1.0, dict(zip(FEATURES, values.T, strict=True)))


def drift_between(baseline: Statistics, window: Floats) -> Drift:
    return detect_drift(baseline, LABELS, dict(zip(FEATURES, window.T, strict=True)))


def draw(random: np.random.Generator, count: int) -> Floats:
    """Photos with features as different as real ones: normal, skewed, bounded, few values, correlated."""
    normal = random.normal(size=(count, 4))
    return np.column_stack(
        [
            normal,
            1 - 0.5 * random.beta(0.5, 4, count),
            random.lognormal(10, 0.5, count).round(),
            random.choice([0.5625, 0.75, 1.3333, 1.7778], count),
            normal[:, 0] + 0.3 * random.normal(size=count),
        ]
    )


@pytest.mark.parametrize(("size", "windows"), [(30, 500), (100, 300), (200, 200), (1000, 30)])
def test_windows_without_drift_alarm_in_at_most_one_of_a_hundred(size: int, windows: int) -> None:
    random = np.random.default_rng(size)
    alarms = 0
    for number in range(windows):
        if number % 20 == 0:  # one baseline serves many windows, and some baselines are unlucky
            baseline = baseline_of(draw(random, 1000))
        alarms += bool(drift_between(baseline, draw(random, size)).drifted)
    assert alarms <= 0.01 * windows


@pytest.mark.parametrize(("size", "least"), [(30, 0.8), (100, 1.0)])
def test_a_shift_of_one_standard_deviation_is_seen(size: int, least: float) -> None:
    random = np.random.default_rng(size)
    baseline = baseline_of(draw(random, 1000))
    seen = 0
    for _ in range(100):
        window = draw(random, size)
        window[:, 2] += 1.0
        seen += [feature.name for feature in drift_between(baseline, window).drifted] == ["feature 2"]
    assert seen / 100 >= least


def test_with_many_photos_a_difference_too_small_to_matter_is_no_drift() -> None:
    random = np.random.default_rng(0)
    baseline, window = draw(random, 5000), draw(random, 5000)
    window[:, 0] += 0.15

    drift = drift_between(baseline_of(baseline), window)

    (feature,) = [feature for feature in drift.features if feature.name == "feature 0"]
    assert feature.p_value < 1e-4
    assert feature.distance < LEAST_DISTANCE
    assert not drift.drifted


def test_p_values_count_all_features() -> None:
    random = np.random.default_rng(0)
    sample, other = random.normal(size=(200, 1)), random.normal(0.6, size=(60, 1))
    alone = detect_drift(Statistics(LABELS, 200, 0, 1, {"a": sample[:, 0]}), LABELS, {"a": other[:, 0]})
    many = drift_between(baseline_of(np.repeat(sample, 8, axis=1)), np.repeat(other, 8, axis=1))
    assert many.features[0].p_value == pytest.approx(8 * alone.features[0].p_value)


def test_the_photos_behind_it_are_the_most_extreme_on_the_changed_side() -> None:
    random = np.random.default_rng(0)
    baseline = random.normal(0, 1, (500, 8))
    window = random.normal(0, 1, (300, 8))
    window[:, 3] -= 2
    window[17, 3] = np.nan

    (feature,) = drift_between(baseline_of(baseline), np.delete(window, 17, axis=0)).drifted
    rows = responsible(feature, window[:, 3])

    assert not feature.higher
    assert window[rows, 3].tolist() == sorted(window[rows, 3].tolist())
    assert window[rows[0], 3] == np.nanmin(window[:, 3])
    assert window[rows, 3].max() <= feature.value
    assert 17 not in rows


def test_the_largest_change_is_told_first() -> None:
    random = np.random.default_rng(0)
    window = random.normal(0, 1, (300, 8))
    window[:, 1] += 1
    window[:, 5] += 2
    drift = drift_between(baseline_of(random.normal(0, 1, (500, 8))), window)
    assert [feature.name for feature in drift.drifted] == ["feature 5", "feature 1"]


def test_what_only_one_side_has_is_named() -> None:
    values = np.arange(50.0)
    baseline = Statistics(LABELS, 50, 0, 1, {"confidence": values, "brightness": values})
    drift = detect_drift(baseline, LABELS, {"confidence": values, "sharpness": values})
    assert [feature.name for feature in drift.features] == ["confidence"]
    assert drift.not_compared == ("brightness", "sharpness")


def test_a_baseline_of_other_labels_is_refused() -> None:
    baseline = Statistics(("car", "bus"), 1, 0, 1, {"confidence": np.array([0.5])})
    with pytest.raises(UsageError, match=r"labels car, bus, the captures are of bicycle, motorcycle"):
        detect_drift(baseline, LABELS, {"confidence": np.array([0.5])})
