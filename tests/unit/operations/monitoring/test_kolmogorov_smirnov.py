"""The test's statistic and p-value against scipy's."""

import numpy as np
import pytest
from scipy import stats

from operations.monitoring.kolmogorov_smirnov import compare, exact_p_value

SIZES = [(1, 1), (1, 300), (2, 3), (7, 5), (30, 30), (30, 5000), (100, 101), (500, 400), (3000, 5000)]


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("shift", [0.0, 0.08, 1.0])
def test_it_agrees_with_scipy(m: int, n: int, shift: float) -> None:
    random = np.random.default_rng(m * n)
    first, second = random.normal(size=m), random.normal(shift, size=n)

    found = compare(first, second)

    expected = stats.ks_2samp(first, second, method="exact")
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-10)


def test_ties_are_compared_after_all_equal_values() -> None:
    first = np.array([1.0] * 50 + [2.0] * 50)
    second = np.array([1.0] * 20 + [2.0] * 80)

    found = compare(first, second)

    assert (found.statistic, found.value, found.higher) == (0.3, 1.0, True)
    assert found.p_value == pytest.approx(stats.ks_2samp(first, second, method="exact").pvalue, abs=1e-10)


def test_the_direction_is_that_of_the_second_sample() -> None:
    low, high = np.arange(10.0), np.arange(10.0) + 5
    assert compare(low, high).higher
    assert not compare(high, low).higher


def test_equal_samples_do_not_differ() -> None:
    values = np.arange(20.0)
    found = compare(values, values[::-1])
    assert (found.statistic, found.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(("m", "n"), [(10_000, 10_000), (10_000, 3_000)])
def test_large_samples_neither_overflow_nor_vanish(m: int, n: int) -> None:
    steps = round(1.2 * np.sqrt(m * n * (m + n)))  # a p-value of about 0.11
    assert exact_p_value(steps, m, n) == pytest.approx(2 * np.exp(-2 * 1.2**2), rel=0.1)
    assert 0 <= exact_p_value(m * n, m, n) < 1e-9


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        compare(np.array([]), np.array([1.0]))
