"""Reading the results table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from operations.results import SAMPLE, Record, ResultsTable, partition, timestamp
from operations.stack import Stack
from tests.support.aws_stack import put_record


@pytest.fixture
def stack(stack: Stack) -> Stack:
    put_record(stack, "a", "ACCEPTED", label="bicycle", confidence=0.97, threshold=0.85)
    put_record(stack, "b", "ACCEPTED", label="motorcycle", confidence=0.91)
    put_record(stack, "c", "FAILED", error="EndpointUnavailable", recorded_at="2026-11-24T10:00:00.000Z")
    return stack


def test_items_become_records_with_plain_values() -> None:
    texts = {"object_uri": "s3://b/k", "object_version": "v", "outcome": "ACCEPTED"}
    item: dict[str, Any] = {name: {"S": text} for name, text in texts.items()}
    item |= {"confidence": {"N": "0.97"}, "of_a_later_version": {"M": {"x": {"BOOL": True}}}}
    assert Record.from_item(item) == Record("s3://b/k", "v", "ACCEPTED", confidence=0.97)
    assert isinstance(Record.from_item(item).confidence, float)


def test_a_record_is_found_by_uri_and_version(stack: Stack) -> None:
    found = ResultsTable(stack).get("s3://photos/a", "v1")
    assert found
    assert (found.outcome, found.label, found.confidence, found.error) == ("ACCEPTED", "bicycle", 0.97, None)
    assert ResultsTable(stack).get("s3://photos/a", "v2") is None


@pytest.mark.parametrize(
    ("outcome", "label", "since", "keys"),
    [
        (None, None, None, "abc"),
        (None, None, datetime(2020, 1, 1, tzinfo=UTC), "abc"),
        ("ACCEPTED", None, datetime(2020, 1, 1, tzinfo=UTC), "ab"),
        ("ACCEPTED", "motorcycle", datetime(2020, 1, 1, tzinfo=UTC), "b"),
        (None, None, datetime(2026, 11, 25, 10, tzinfo=UTC), "ab"),
        ("FAILED", None, datetime(2026, 11, 25, tzinfo=UTC), ""),
    ],
)
def test_records_are_selected(
    stack: Stack, outcome: str | None, label: str | None, since: datetime | None, keys: str
) -> None:
    found = ResultsTable(stack).find(outcome=outcome, label=label, since=since)
    assert sorted(record.object_uri[-1] for record in found) == list(keys)


def test_a_table_of_several_pages_is_read_whole(stack: Stack) -> None:
    for number in range(20):
        put_record(stack, f"large/{number}", "REJECTED", cause="x" * 100_000)
    for since in (None, datetime(2020, 1, 1, tzinfo=UTC)):  # the table, and its index
        assert sum(one.outcome == "REJECTED" for one in ResultsTable(stack).find(since)) == 20


def test_unprocessed_keys_are_asked_for_again_after_a_growing_pause(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, pauses = stack.client("dynamodb"), list[float]()
    answer, left = client.batch_get_item, [1, 1, 0]

    def throttled(**request: Any) -> Any:
        refusal = {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}
        return refusal if left.pop(0) else answer(**request)

    monkeypatch.setattr(client, "batch_get_item", throttled)
    monkeypatch.setattr("time.sleep", pauses.append)
    assert [one.outcome for one in ResultsTable(stack).get_many([("s3://photos/a", "v1")])] == ["ACCEPTED"]
    assert 0 < pauses[0] < pauses[1]


def test_records_come_in_the_order_of_time_and_the_newest_first_if_some_are_wanted(stack: Stack) -> None:
    start = datetime(2026, 11, 29, tzinfo=UTC)
    for number in range(30):
        time, place = timestamp(start + timedelta(minutes=number)), ("ACCEPTED", SAMPLE)[number % 2]
        put_record(stack, f"{number:02}", "ACCEPTED", recorded_at=time, outcome_day=place)
    table = ResultsTable(stack)
    assert [one.key for one in table.find(since=start)] == [f"{number:02}" for number in range(30)]
    assert [one.key for one in table.find(since=start, newest=3)] == ["29", "28", "27"]


def test_a_persons_decision_changes_no_count_of_what_arrived(stack: Stack) -> None:
    put_record(stack, "d", "ACCEPTED", outcome_day=partition("ACCEPTED", "LOW_CONFIDENCE"))
    put_record(stack, "e", "REJECTED", outcome_day=partition("REJECTED", "ACCEPTED"))
    put_record(stack, "f", "ACCEPTED", outcome_day=SAMPLE)
    since, table = datetime(2026, 11, 25, tzinfo=UTC), ResultsTable(stack)
    assert table.arrived(since) == {"ACCEPTED": 4, "LOW_CONFIDENCE": 1, "REJECTED": 0, "FAILED": 0}
    assert [table.count(name, since) for name in ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED")] == [4, 0, 1]


def test_records_are_found_by_awss_clock_when_this_machines_is_wrong(stack: Stack) -> None:
    put_record(stack, "now", "ACCEPTED", recorded_at=timestamp(datetime.now(UTC) + timedelta(hours=50)))
    behind = replace(stack, clock=timedelta(hours=50))
    since = behind.now() - timedelta(hours=1)
    assert [one.key for one in ResultsTable(behind).find(since=since)] == ["now"]
