"""The account balances, or says by how much it does not."""

import pytest

from operations.load.run import Account, balances, percentile
from operations.results import Record

DUE = 1_790_000_000.0
TIME = "2026-09-21T14:13:2{}.000Z"  # DUE is 14:13:20


def account(versions: int = 3) -> Account:
    return Account(due={(f"s3://b/{number}", "v"): DUE for number in range(versions)})


def settle(one: Account, number: int, outcome: str = "ACCEPTED", events: int = 1) -> None:
    record = Record(f"s3://b/{number}", "v", outcome, recorded_at=TIME.format(number + 1))
    one.add_records([record])
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
    assert one.missing() == [("s3://b/2", "v")]
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


def test_of_few_values_a_high_percentile_is_the_largest() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert percentile([], 0.5) is None
