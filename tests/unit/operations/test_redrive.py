"""Starting photos again: which ones, with which input, and what is said of them."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from operations import redrive
from operations.redrive import REJECTIONS, Redriven, ended, recorded, undelivered_uploads, without_outcome
from operations.results import ResultsTable
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, put_record, upload, with_workflow
from tests.support.commands import Scones

NOW = datetime.now(UTC)
TODAY = NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
ASL = Path(__file__).parents[3] / "statemachine" / "classify_image.asl.json"


@pytest.fixture
def stack(stack: Stack) -> Stack:
    return with_workflow(stack)


def inputs(stack: Stack) -> list[dict[str, Any]]:
    """Return the inputs of the executions that were started, sorted by key."""
    workflow = stack.client("stepfunctions")
    machine = stack.output("ClassifyImageStateMachineArn")
    found = workflow.list_executions(stateMachineArn=machine)["executions"]
    texts = [workflow.describe_execution(executionArn=one["executionArn"])["input"] for one in found]
    return sorted(map(json.loads, texts), key=lambda one: str(one.get("s3_key")))


def test_photos_of_an_outcome_are_started_in_their_version(stack: Stack) -> None:
    put_record(stack, "incoming/a b.jpg", "FAILED", recorded_at=TODAY)
    put_record(stack, "incoming/old.jpg", "FAILED", recorded_at="2026-01-01T00:00:00.000Z")
    put_record(stack, "incoming/good.jpg", "ACCEPTED", recorded_at=TODAY)
    starts = {
        outcome: [one.input for one in recorded(ResultsTable(stack), outcome, NOW - timedelta(days=1))]
        for outcome in ("FAILED", "ACCEPTED")
    }
    failed = {"s3_bucket": BUCKET, "s3_key": "incoming/a b.jpg", "version_id": "v1"}
    again = {**failed, "s3_key": "incoming/good.jpg", "reclassify": True}
    assert starts == {"FAILED": [failed], "ACCEPTED": [again]}


def test_the_latest_versions_without_a_record_are_missing(stack: Stack) -> None:
    upload(stack, "incoming/photo.jpg")  # overwritten before it had an outcome
    latest = upload(stack, "incoming/photo.jpg")
    recorded_version = upload(stack, "incoming/recorded.jpg")
    put_record(stack, "incoming/recorded.jpg", "ACCEPTED", object_version=recorded_version)
    upload(stack, "elsewhere/photo.jpg")
    upload(stack, "incoming/deleted.jpg")
    stack.client("s3").delete_object(Bucket=BUCKET, Key="incoming/deleted.jpg")
    now = datetime.now(UTC)  # NOW is minutes ago where all tests are collected before
    table, begin, soon = ResultsTable(stack), now - timedelta(days=1), now + timedelta(minutes=5)
    found = [one.input for one in without_outcome(stack, table, begin, soon)]
    assert [(one["s3_key"], one["version_id"]) for one in found] == [("incoming/photo.jpg", latest)]
    assert not list(without_outcome(stack, table, begin, NOW - timedelta(hours=1))), "too young"


@pytest.mark.parametrize(("retention", "missing"), [("30", [2, 29]), ("0", [2, 29, 31, 364]), ("", [2, 29])])
def test_photos_whose_records_have_expired_are_not_missing(
    stack: Stack, retention: str, missing: list[int], scones: Scones, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days in (1, 2, 29, 31, 364):
        version = upload(stack, f"incoming/{days}.jpg", days_ago=days)
        if days == 1:
            put_record(stack, f"incoming/{days}.jpg", "ACCEPTED", object_version=version)
    retaining = replace(stack, parameters={"ResultRetentionDays": retention} if retention else {})
    monkeypatch.setattr("operations.stack.find_stack", lambda *_: retaining)
    since = "400d" if retention else "30d"
    assert scones("redrive", "--missing", "--dry-run", "--json", "--since", since) == 0
    keys = [line["s3_key"] for line in scones.lines]
    assert sorted(keys) == sorted(f"incoming/{days}.jpg" for days in missing)


def test_more_versions_than_one_request_takes(stack: Stack) -> None:
    versions = [(f"s3://{BUCKET}/{number}", "v1") for number in range(250)]
    for number in range(0, 250, 2):
        put_record(stack, str(number), "ACCEPTED")
    assert list(ResultsTable(stack).missing(versions)) == versions[1::2]


def test_undelivered_events_are_started_and_leave_the_queue(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.redrive._WAIT_S", 1)
    asked: list[int] = []
    queue, url = stack.client("sqs"), stack.output("UndeliveredEventsQueueUrl")
    queue.meta.events.register(
        "provide-client-params.sqs.ReceiveMessage",
        lambda params, **_: asked.append(params.pop("WaitTimeSeconds")),
    )
    event = {"detail": {"bucket": {"name": BUCKET}, "object": {"key": "incoming/late.jpg"}}}
    for body in (json.dumps(event), "no event", "[]", '{"detail": 1}'):
        queue.send_message(QueueUrl=url, MessageBody=body)
    (started,) = redrive.start(stack, undelivered_uploads(stack), 100)
    assert started.photo == "incoming/late.jpg"
    assert set(asked) == {1}, "by long polling: short polling may find nothing"
    assert inputs(stack) == [event]
    counts = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    left = int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"])
    assert left == 3, "what is no event is not ours to delete"


ENDS = {
    "LOW_CONFIDENCE": "THRESHOLD_CONFIDENCE_NOT_MET",
    "REJECTED": "UnsupportedImage",
    "FAILED": "EndpointUnavailable",
}


@pytest.mark.parametrize(
    ("answer", "outcome", "error"),
    [
        ({"status": "RUNNING"}, None, None),
        ({"status": "SUCCEEDED"}, "ACCEPTED", None),
        ({"status": "TIMED_OUT"}, "FAILED", "TIMED_OUT"),
        *(({"status": "FAILED", "error": error}, outcome, error) for outcome, error in ENDS.items()),
    ],
)
def test_an_executions_end_says_the_outcome(
    answer: dict[str, Any], outcome: str | None, error: str | None
) -> None:
    assert ended(Redriven("photo", "arn"), answer) == Redriven("photo", "arn", outcome, error)


def test_the_rejections_are_those_of_the_workflow() -> None:
    states = json.loads(ASL.read_text(encoding="utf-8"))["States"]
    rejected = {
        name
        for state in states.values()
        for catcher in state.get("Catch", [])
        if catcher.get("Assign", {}).get("outcome") == "REJECTED"
        for name in catcher["ErrorEquals"]
    }
    costly = {"Sandbox.Timedout", "Runtime.OutOfMemory"}  # which end as ImageTooCostly
    assert rejected - costly | {"ImageTooCostly"} == set(REJECTIONS)


def test_the_command_lists_or_starts_and_counts(stack: Stack, scones: Scones) -> None:
    for number in range(3):
        put_record(stack, f"incoming/{number}.jpg", "FAILED", recorded_at=TODAY)
    assert scones("redrive", "--dry-run", "--json") == 0
    listed = scones.lines
    assert "3 photos would be started" in scones.err
    assert inputs(stack) == []
    assert scones("redrive", "--timeout", "0.1", "--rate", "100", "--json") == 1, "they run on"
    lines = scones.lines
    assert [line["outcome"] for line in lines[:-1]] == [None] * 3
    assert lines[-1]["summary"]["photos"] == 3
    assert inputs(stack) == sorted(listed, key=lambda one: str(one["s3_key"]))


@pytest.mark.parametrize("other", [["--outcome", "FAILED"], ["--reviews"]])
def test_missing_and_others_exclude_each_other(scones: Scones, other: list[str]) -> None:
    assert scones("redrive", "--missing", *other) == 2
    assert "exclude each other" in scones.err
