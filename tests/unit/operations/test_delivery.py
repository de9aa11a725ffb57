"""Recorded outcomes that nobody was told of are found, and delivered once."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from operations.__main__ import main
from operations.delivery import EVENT, REVIEW, Delivery, missing_parts
from operations.photos.steps import Step
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, create_in_cloudformation, put_record, with_workflow
from tests.support.review import events, review_stack

SINCE = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def stack(aws: None) -> Stack:
    del aws
    return with_workflow(review_stack())


def reviews(stack: Stack) -> list[dict[str, Any]]:
    answer = stack.client("sqs").receive_message(
        QueueUrl=stack.output("ReviewQueueUrl"), MaxNumberOfMessages=10
    )
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def item(stack: Stack, key: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.client("dynamodb").get_item(
        TableName=stack.output("ResultsTableName"),
        Key={"object_uri": {"S": f"s3://{BUCKET}/{key}"}, "object_version": {"S": "v1"}},
    )["Item"]
    return found


@pytest.mark.parametrize("parts", [(EVENT,), (REVIEW, EVENT)])
def test_what_a_record_says_is_missing_is_delivered_once(stack: Stack, parts: tuple[str, ...]) -> None:
    put_record(
        stack,
        "incoming/a.jpg",
        "LOW_CONFIDENCE",
        undelivered=",".join(parts),
        execution_arn="arn:x",
        confidence=0.6,
    )
    put_record(stack, "incoming/told.jpg", "ACCEPTED", execution_arn="arn:y")

    (late,) = Delivery(stack).undelivered(SINCE)
    Delivery(stack).deliver(late)

    (event,) = events(stack)
    assert (event["object_uri"], event["outcome"]) == (f"s3://{BUCKET}/incoming/a.jpg", "LOW_CONFIDENCE")
    assert event["confidence"] == 0.6
    assert "undelivered" not in event
    assert "decided_by" not in event, "the workflow's event has no such member"
    assert [message["outcome"] for message in reviews(stack)] == ["LOW_CONFIDENCE"] * (REVIEW in parts)
    assert "undelivered" not in item(stack, "incoming/a.jpg")
    assert list(Delivery(stack).undelivered(SINCE)) == []


def test_a_record_that_another_execution_has_replaced_keeps_its_own_note(stack: Stack) -> None:
    put_record(stack, "incoming/a.jpg", "ACCEPTED", undelivered="event", execution_arn="arn:x")
    (late,) = Delivery(stack).undelivered(SINCE)
    put_record(stack, "incoming/a.jpg", "ACCEPTED", undelivered="event", execution_arn="arn:newer")

    Delivery(stack).deliver(late)

    assert item(stack, "incoming/a.jpg")["undelivered"] == {"S": "event"}


@pytest.mark.parametrize(
    ("outcome", "done", "missing"),
    [
        ("ACCEPTED", {"RecordOutcome"}, (EVENT,)),
        ("ACCEPTED", {"RecordOutcome", "PublishOutcome"}, ()),
        ("LOW_CONFIDENCE", {"RecordOutcome"}, (REVIEW, EVENT)),
        ("LOW_CONFIDENCE", {"RecordOutcome", "RequestReview"}, (EVENT,)),
        ("LOW_CONFIDENCE", {"RecordOutcome", "RequestReview", "PublishOutcome"}, ()),
    ],
)
def test_the_tasks_that_succeeded_say_what_is_missing(
    outcome: str, done: set[str], missing: tuple[str, ...]
) -> None:
    assert missing_parts(outcome, done) == missing


def stopped(stack: Stack, start: dict[str, Any]) -> str:
    """Start an execution that waits, stop it, and return its ARN."""
    workflow = stack.client("stepfunctions")
    arn: str = workflow.start_execution(
        stateMachineArn=stack.output("ClassifyImageStateMachineArn"), input=json.dumps(start)
    )["executionArn"]
    workflow.stop_execution(executionArn=arn)
    return arn


@pytest.mark.parametrize(
    "start",
    [
        {"s3_bucket": BUCKET, "s3_key": "incoming/a b.jpg"},
        {"detail": {"bucket": {"name": BUCKET}, "object": {"key": "incoming/a b.jpg"}}},
    ],
)
def test_the_record_of_a_stopped_execution_is_delivered_once(
    stack: Stack, start: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = stopped(stack, start)
    put_record(stack, "incoming/a b.jpg", "LOW_CONFIDENCE", execution_arn=arn)
    monkeypatch.setattr("operations.delivery.steps_of", lambda *_: [Step("RecordOutcome", succeeded=True)])

    (late,) = Delivery(stack).undelivered(SINCE)
    Delivery(stack).deliver(late)

    assert late.parts == (REVIEW, EVENT)
    assert len(events(stack)) == len(reviews(stack)) == 1
    assert list(Delivery(stack).undelivered(SINCE)) == [], "the record says that it was delivered"


def test_a_stopped_execution_without_a_record_of_its_own_is_left_alone(stack: Stack) -> None:
    stopped(stack, {"s3_bucket": BUCKET, "s3_key": "incoming/a.jpg"})
    stopped(stack, {"nothing": True})
    put_record(stack, "incoming/a.jpg", "ACCEPTED", execution_arn="arn:another")
    assert list(Delivery(stack).undelivered(SINCE)) == []


def test_what_the_command_prints(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    put_record(stack, "incoming/a.jpg", "REJECTED", undelivered="event", execution_arn="arn:x")
    create_in_cloudformation(dict(stack.outputs))

    assert main(["redrive", "--missing", "--dry-run"]) == 0
    assert "1 outcome would be delivered" in capsys.readouterr().err
    assert main(["redrive", "--missing", "--json"]) == 0

    line, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert line == {
        "photo": f"s3://{BUCKET}/incoming/a.jpg",
        "outcome": "REJECTED",
        "delivered": ["event"],
    }
    assert (summary["summary"]["delivered"], summary["summary"]["photos"]) == (1, 0)
    assert len(events(stack)) == 1


def test_an_express_workflow_keeps_no_executions(stack: Stack) -> None:
    machine = stack.client("stepfunctions").create_state_machine(
        name="express",
        type="EXPRESS",
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/workflow",
    )
    outputs = {**stack.outputs, "ClassifyImageStateMachineArn": machine["stateMachineArn"]}
    assert list(Delivery(replace(stack, outputs=outputs)).undelivered(SINCE)) == []
