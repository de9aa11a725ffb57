"""When photos are sent, and which."""

import math
from collections import Counter

import pytest

from commandline.errors import UsageError
from operations.load.plan import DEFAULT_MIX, Plan, parse_mix


def test_a_constant_rate_is_even() -> None:
    assert Plan(2, 3, "constant").arrivals() == [0, 0.5, 1, 1.5, 2, 2.5]


def test_bursts_come_together_at_the_same_mean_rate() -> None:
    arrivals = Plan(10, 4, "burst", burst=20).arrivals()
    assert Counter(arrivals) == {0: 20, 2: 20}


def test_poisson_arrivals_are_ordered_within_the_time_and_of_the_right_number() -> None:
    arrivals = Plan(50, 40, seed=3).arrivals()
    assert arrivals == sorted(arrivals)
    assert 0 < arrivals[0] <= arrivals[-1] < 40
    assert abs(len(arrivals) - 2000) < 4 * math.sqrt(2000)


def test_a_seed_gives_the_same_schedule_again_and_another_seed_another() -> None:
    one, same, other = Plan(5, 60, seed=1), Plan(5, 60, seed=1), Plan(5, 60, seed=2)
    assert one.arrivals() == same.arrivals() != other.arrivals()
    assert one.kinds(100) == same.kinds(100) != other.kinds(100)


def test_kinds_come_in_their_shares() -> None:
    counts = Counter(Plan(1, 1, mix={"good": 0.9, "broken": 0.1}).kinds(10_000))
    assert set(counts) == {"good", "broken"}
    assert abs(counts["broken"] - 1000) < 120


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("good=.5", "sum to 0.5"),
        ("good=1,perfect=0", "none of good, doubtful"),
        ("good=half,doubtful=.5", "not a share"),
        ("good=1.5", "from 0 to 1"),
        ("good=nan", "from 0 to 1"),
        ("good=.5,good=.5", "named twice"),
        ("", "none of"),
    ],
)
def test_a_mix_that_makes_no_sense_is_named(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_mix(text)


def test_the_default_mix_is_one() -> None:
    assert sum(parse_mix(DEFAULT_MIX).values()) == pytest.approx(1)
