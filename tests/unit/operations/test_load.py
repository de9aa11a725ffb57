"""A load: when photos are sent and which; the account balances, or shows by how much it does not."""

import math
from collections import Counter
from collections.abc import Sequence

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


def test_kinds_come_in_their_shares_and_a_seed_gives_the_same_schedule_again() -> None:
    one, same, other = Plan(5, 60, seed=1), Plan(5, 60, seed=1), Plan(5, 60, seed=2)
    assert one.arrivals() == same.arrivals() != other.arrivals()
    assert one.kinds(100) == same.kinds(100) != other.kinds(100)
    counts = Counter(Plan(1, 1, mix={"good": 0.9, "broken": 0.1}).kinds(10_000))
    assert set(counts) == {"good", "broken"}
    assert abs(counts["broken"] - 1000) < 120


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *(("good=.5", "sum to 0.5"), ("good=.5,good=.5", "named twice"), ("", "none of")),
        *(("good=1,perfect=0", "none of good, doubtful"), ("good=half,doubtful=.5", "not a share")),
        *(("good=1.5", "from 0 to 1"), ("good=nan", "from 0 to 1")),
    ],
)
def test_a_mix_that_makes_no_sense_is_named(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_mix(text)
    assert sum(parse_mix(DEFAULT_MIX).values()) == pytest.approx(1)


DUE = 1_790_000_000.0
TIME = "2026-09-21T14:13:2{}.000Z"  # DUE is 14:13:20


def account(versions: int, *settled: tuple[int, str, int]) -> Account:
    """Return the account of some photos; of each that is settled the number, outcome and number of events."""
    one = Account(due={(f"s3://b/{number}", "v"): DUE for number in range(versions)})
    for number, outcome, events in settled:
        record = Record(f"s3://b/{number}", "v", outcome, recorded_at=TIME.format(number + 1))
        one.records[record.version] = record
        for _ in range(events):
            one.add_event({"object_uri": record.object_uri, "object_version": "v", "outcome": outcome})
    return one


def test_it_balances() -> None:
    one = account(3, (0, "ACCEPTED", 1), (1, "REJECTED", 1), (2, "ACCEPTED", 1))
    # Other people's photos and decisions are not counted.
    one.add_event({"object_uri": "s3://b/0", "object_version": "v", "reviewed": True})
    one.add_event({"object_uri": "s3://b/elsewhere", "object_version": "v"})
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


@pytest.mark.parametrize(
    ("settled", "unsent", "expected"),
    [
        ([(0, "ACCEPTED", 1), (1, "ACCEPTED", 0)], [], {"lost": 2, "duplicates": 0, "unsent": 0}),
        ([(number, "ACCEPTED", 1 + (number == 1)) for number in range(3)], [], {"lost": 0, "duplicates": 1}),
        ([(number, "ACCEPTED", 1) for number in range(3)], ["a.jpg: no"], {"lost": 0, "unsent": 1}),
    ],
)
def test_what_is_lost_doubled_or_not_sent_does_not_balance(
    settled: list[tuple[int, str, int]], unsent: list[str], expected: dict[str, int]
) -> None:
    one = account(3, *settled)
    one.unsent += unsent
    summary = one.summary()
    assert {name: summary[name] for name in expected} == expected
    assert not balances(summary)


@pytest.mark.parametrize(
    ("values", "share", "value"),
    [
        *((range(100, 0, -1), *one) for one in ((0.5, 50), (0.95, 95), (0.99, 99), (1, 100), (0.001, 1))),
        (range(100, 0, -1), 0.501, 51),
        ([3.0, 1.0, 2.0], 0.99, 3.0),  # of few values the largest
        ([], 0.5, None),
    ],
)
def test_percentiles_are_exact(values: Sequence[float], share: float, value: float | None) -> None:
    assert percentile(values, share) == value


def test_the_progress_has_outcomes_latencies_and_what_was_not_sent() -> None:
    assert account(4).progress() == ""
    one = account(4, (0, "ACCEPTED", 1), (1, "REJECTED", 1))
    assert one.progress() == "1 ACCEPTED, 1 REJECTED, p50 1.0 s, p95 2.0 s, p99 2.0 s, max 2.0 s"
    one.unsent.append("a.jpg: the bucket is gone")
    assert one.progress().endswith(", not sent 1, the last a.jpg: the bucket is gone")
