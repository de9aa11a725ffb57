"""A load: when photos are sent and which; the account balances, or shows by how much it does not."""

import math
from collections import Counter

import pytest

from commandline.errors import UsageError
from operations.load import DEFAULT_MIX, Account, Plan, balances, parse_mix, percentile
from operations.results import Record


def test_bursts_come_together_at_the_same_mean_rate() -> None:
    assert Plan(2, 3, burst=1).arrivals() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert Counter(Plan(10, 4, burst=20).arrivals()) == {0: 20, 2: 20}


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


DUE = 1_790_000_000.0
TIME = "2026-09-21T14:13:2{}.000Z"  # DUE is 14:13:20


def account(versions: int = 3) -> Account:
    return Account(due={(f"s3://b/{number}", "v"): DUE for number in range(versions)})


def settle(one: Account, number: int, outcome: str = "ACCEPTED", events: int = 1) -> None:
    record = Record(f"s3://b/{number}", "v", outcome, recorded_at=TIME.format(number + 1))
    one.records[record.version] = record
    for _ in range(events):
        one.add_event({"object_uri": record.object_uri, "object_version": "v", "outcome": outcome})


def test_it_balances() -> None:
    one = account()
    for number, outcome in enumerate(("ACCEPTED", "REJECTED", "ACCEPTED")):
        settle(one, number, outcome)
    summary = one.summary()
    assert summary == {
        "sent": 3,
        "outcomes": {"ACCEPTED": 2, "LOW_CONFIDENCE": 0, "REJECTED": 1, "FAILED": 0},
        **dict.fromkeys(("lost", "duplicates", "unsent"), 0),
        "p50_s": 2.0,
        "p95_s": 3.0,
        "p99_s": 3.0,
        "max_s": 3.0,
    }
    assert balances(summary)


def test_a_version_without_a_record_or_without_an_event_is_lost() -> None:
    one = account()
    settle(one, 0)
    settle(one, 1, events=0)
    assert one.lost() == [("s3://b/1", "v"), ("s3://b/2", "v")]
    assert one.summary()["lost"] == 2
    assert not balances(one.summary())


def test_an_outcome_that_is_published_twice_is_a_duplicate() -> None:
    one = account(1)
    settle(one, 0, events=2)
    assert one.summary()["duplicates"] == 1
    assert not balances(one.summary())


def test_others_photos_and_peoples_decisions_are_not_counted() -> None:
    one = account(1)
    settle(one, 0)
    one.add_event({"object_uri": "s3://b/0", "object_version": "v", "reviewed": True})
    one.add_event({"object_uri": "s3://b/elsewhere", "object_version": "v"})
    assert balances(one.summary())


def test_what_was_not_sent_does_not_balance() -> None:
    one = account(0)
    one.unsent.append("000001-good.jpg: refused")
    assert not balances(one.summary())
    assert one.summary()["p50_s"] is None


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1, 100), (0.001, 1), (0.501, 51)]
)
def test_percentiles_are_exact(share: float, value: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0, "of few values the largest"
    assert percentile([], 0.5) is None


def test_the_progress_has_outcomes_latencies_and_what_was_not_sent() -> None:
    one = account(4)
    assert one.progress() == ""
    settle(one, 0)
    settle(one, 1, "REJECTED")
    assert one.progress() == "1 ACCEPTED, 1 REJECTED, p50 1.0 s, p95 2.0 s, p99 2.0 s, max 2.0 s"
    one.unsent.append("a.jpg: the bucket is gone")
    assert one.progress().endswith(", not sent 1, the last a.jpg: the bucket is gone")
