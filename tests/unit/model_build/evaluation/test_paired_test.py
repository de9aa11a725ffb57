"""McNemar's exact test, one-sided: against scipy, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from model_build.evaluation.comparison import POWER, PairedResult


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 0), (13, 2), (8, 8), (3, 11), (210, 160)])
def test_it_is_the_exact_binomial_test_of_the_photos_that_differ(gained: int, lost: int) -> None:
    result = PairedResult(1000, gained, lost)
    differ = gained + lost
    better = stats.binomtest(gained, differ, alternative="greater").pvalue if differ else 1.0
    worse = stats.binomtest(lost, differ, alternative="greater").pvalue if differ else 1.0
    assert result.p_value == pytest.approx(better, rel=1e-9)
    assert result.p_value_worse == pytest.approx(worse, rel=1e-9)


def test_five_photos_more_and_none_fewer_are_the_least_that_tells() -> None:
    assert [PairedResult(50, gained, 0).better for gained in (4, 5)] == [False, True]
    assert [PairedResult(50, 0, lost).worse for lost in (4, 5)] == [False, True]


@pytest.mark.parametrize(("gained", "lost"), [(0.08, 0.03), (0.15, 0.05), (0.06, 0.01)])
def test_so_many_more_photos_show_the_difference(gained: float, lost: float) -> None:
    few = PairedResult(100, round(100 * gained), round(100 * lost))
    missing = few.photos_missing()
    assert missing is not None
    random = np.random.default_rng(0)
    total = 100 + missing
    counts = random.multinomial(total, [gained, lost, 1 - gained - lost], 2000)
    shown = np.mean([PairedResult(total, int(g), int(n)).better for g, n, _ in counts])
    assert POWER - 0.1 < shown < POWER + 0.1


def test_what_does_not_look_better_cannot_be_helped_by_more_photos() -> None:
    assert PairedResult(100, 3, 3).photos_missing() is None
    assert PairedResult(100, 2, 3).photos_missing() is None


def test_near_the_goal_a_few_more_are_asked_for() -> None:
    assert PairedResult(50, 4, 0).photos_missing() == 26
    assert PairedResult(1000, 29, 18).photos_missing() == 1400
    assert PairedResult(60, 30, 20).photos_missing() == 130
