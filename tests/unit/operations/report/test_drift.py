"""Baselines, the test's figures against scipy's, and drift: found when there is some, else (nearly) never."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from commandline.errors import UsageError
from operations.report import drift as drift_module
from operations.report.captures import Floats, Window
from operations.report.drift import (
    LEAST_DISTANCE,
    Drift,
    Statistics,
    compare,
    detect_drift,
    exact_p_value,
    from_json,
    responsible,
    sampled,
    statistics_of,
    to_json,
)
from tests.support.captures import LABELS, capture, exchanges, window_of

FEATURES = [f"feature {number}" for number in range(8)]


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Window:
    return window_of(tmp_path_factory.mktemp("captures"), exchanges(120))


def test_a_baseline_file_keeps_every_value_as_it_is(window: Window) -> None:
    again = from_json(to_json(statistics_of(window)), "baseline.json")
    assert (again.labels, again.records) == (LABELS, 120)
    assert (again.first, again.last) == (window.times[0], window.times[-1])
    assert {name: values.tolist() for name, values in again.features.items()} == {
        name: sorted(values.tolist()) for name, values in window.features().items()
    }


def test_of_a_large_window_a_sample_is_kept(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_module, "SAMPLE_SIZE", 50)
    found, again = sampled(window), sampled(window)
    assert {len(values) for values in found.values()} == {50}
    assert all(np.array_equal(found[name], again[name]) for name in found)
    assert statistics_of(window).records == 120
    # One record's features stay together.
    rows = [window.photos[:, 0].tolist().index(value) for value in found["brightness"]]
    assert window.confidences[rows].round(6).tolist() == found["confidence"].tolist()


def test_unknown_features_are_left_out(tmp_path: Path) -> None:
    record = capture()
    del record["captureData"]["endpointInput"]
    found = statistics_of(window_of(tmp_path, [record] * 3))
    assert list(found.features) == ["confidence", "probability of bicycle"]


def broken(**changes: Any) -> str:
    good = {"format": 1, "labels": ["a"], "records": 1, "first": 0, "last": 1}
    return json.dumps({**good, "features": {"confidence": [0.5]}, **changes})


BROKEN = [broken(format=2), broken(labels=None), broken(records="many"), broken(features=[])]
BROKEN += [broken(features={"confidence": one}) for one in ([], [0.5, None], [[0.5]], ["high"])]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000, *BROKEN])
def test_another_file_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"^old\.json is not a baseline file"):
        from_json(text, "old.json")


SIZES = [(1, 1), (1, 300), (2, 3), (7, 5), (30, 30), (30, 5000), (100, 101), (500, 400), (3000, 5000)]


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("shift", [0.0, 0.08, 1.0])
def test_it_agrees_with_scipy(m: int, n: int, shift: float) -> None:
    random = np.random.default_rng(m * n)
    first, second = random.normal(size=m), random.normal(shift, size=n)
    found = compare(first, second)
    expected = stats.ks_2samp(first, second, method="exact")
    assert found.distance == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-10)


def test_ties_are_compared_after_all_equal_values() -> None:
    first = np.array([1.0] * 50 + [2.0] * 50)
    second = np.array([1.0] * 20 + [2.0] * 80)
    *found, p_value = compare(first, second)
    assert found == [0.3, 1.0, True]
    assert p_value == pytest.approx(stats.ks_2samp(first, second, method="exact").pvalue, abs=1e-10)


@pytest.mark.parametrize(("m", "n"), [(10_000, 10_000), (10_000, 3_000)])
def test_large_samples_neither_overflow_nor_vanish(m: int, n: int) -> None:
    steps = round(1.2 * np.sqrt(m * n * (m + n)))  # a p-value of about 0.11
    assert exact_p_value(steps, m, n) == pytest.approx(2 * np.exp(-2 * 1.2**2), rel=0.1)
    assert 0 <= exact_p_value(m * n, m, n) < 1e-9


def drift_between(baseline: Floats, window: Floats) -> Drift:
    before, after = (dict(zip(FEATURES, values.T, strict=False)) for values in (baseline, window))
    return detect_drift(Statistics(LABELS, len(baseline), 0, 1, before), LABELS, after)


def draw(random: np.random.Generator, count: int) -> Floats:
    """Photos with features as different as real ones: normal, skewed, bounded, few values, correlated."""
    normal = random.normal(size=(count, 4))
    bounded, skewed = 1 - 0.5 * random.beta(0.5, 4, count), random.lognormal(10, 0.5, count).round()
    few = random.choice([0.5625, 0.75, 1.3333, 1.7778], count)
    return np.column_stack([normal, bounded, skewed, few, normal[:, 0] + 0.3 * random.normal(size=count)])


@pytest.mark.parametrize(("size", "windows"), [(30, 500), (100, 300), (200, 200), (1000, 30)])
def test_windows_without_drift_alarm_in_at_most_one_of_a_hundred(size: int, windows: int) -> None:
    random, alarms = np.random.default_rng(size), 0
    for number in range(windows):
        if number % 20 == 0:  # one baseline serves many windows, and some baselines are unlucky
            baseline = draw(random, 1000)
        alarms += bool(drift_between(baseline, draw(random, size)).drifted)
    assert alarms <= 0.01 * windows


@pytest.mark.parametrize(("size", "least"), [(30, 0.8), (100, 1.0)])
def test_a_shift_of_one_standard_deviation_is_seen(size: int, least: float) -> None:
    random, seen = np.random.default_rng(size), 0
    baseline = draw(random, 1000)
    for _ in range(100):
        window = draw(random, size)
        window[:, 2] += 1.0
        seen += [feature.name for feature in drift_between(baseline, window).drifted] == ["feature 2"]
    assert seen / 100 >= least


def test_with_many_photos_a_difference_too_small_to_matter_is_no_drift() -> None:
    random = np.random.default_rng(0)
    baseline, window = draw(random, 5000), draw(random, 5000)
    window[:, 0] += 0.15
    drift = drift_between(baseline, window)
    assert drift.features[0].p_value < 1e-4
    assert drift.features[0].difference.distance < LEAST_DISTANCE
    assert not drift.drifted


def test_p_values_count_all_features() -> None:
    random = np.random.default_rng(0)
    sample, other = random.normal(size=(200, 1)), random.normal(0.6, size=(60, 1))
    alone = drift_between(sample, other)
    many = drift_between(np.repeat(sample, 8, axis=1), np.repeat(other, 8, axis=1))
    assert (len(alone.features), len(many.features)) == (1, 8)
    assert many.features[0].p_value == pytest.approx(8 * alone.features[0].p_value)


def test_the_photos_behind_it_are_the_most_extreme_on_the_changed_side() -> None:
    random = np.random.default_rng(0)
    baseline, window = random.normal(0, 1, (500, 8)), random.normal(0, 1, (300, 8))
    window[:, 3] -= 2
    window[17, 3] = np.nan
    (feature,) = drift_between(baseline, np.delete(window, 17, axis=0)).drifted
    rows = responsible(feature.difference, window[:, 3])
    assert not feature.difference.higher
    assert window[rows, 3].tolist() == sorted(window[rows, 3].tolist())
    assert window[rows[0], 3] == np.nanmin(window[:, 3])
    assert window[rows, 3].max() <= feature.difference.value
    assert 17 not in rows


def test_the_largest_change_is_told_first() -> None:
    random = np.random.default_rng(0)
    window = random.normal(0, 1, (300, 8)) + np.array([0, 1, 0, 0, 0, 2, 0, 0])
    drift = drift_between(random.normal(0, 1, (500, 8)), window)
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
