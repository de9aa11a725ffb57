"""Debts: recorded outcomes whose event is missing are found, and published once."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError

from operations.delivery import Delivery, NotPublishedError
from operations.results import timestamp
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, put_record, with_workflow
from tests.support.commands import Scones
from tests.support.review import Faults, events, items, messages, review_stack

NOW = datetime.now(UTC)


@pytest.fixture
def stack(aws: None) -> Stack:
    del aws
    return with_workflow(review_stack())


@pytest.mark.parametrize("debt", ["event", "undone", "review,event"])  # the last one is of an earlier version
def test_a_debt_is_paid_once_by_an_event_which_brings_the_review_message(stack: Stack, debt: str) -> None:
    facts: dict[str, Any] = {"execution_arn": "arn:x", "confidence": 0.6, "recorded_at": timestamp(NOW)}
    put_record(stack, "incoming/a.jpg", "LOW_CONFIDENCE", undelivered=debt, **facts)
    put_record(stack, "incoming/published.jpg", "ACCEPTED")
    delivery = Delivery(stack)
    assert not list(delivery.undelivered(NOW)), "its execution is probably about to publish it"
    (late,) = delivery.undelivered(NOW + timedelta(minutes=1))
    assert (delivery.deliver(late), delivery.deliver(late)) == (True, False)
    (event,) = events(stack)
    assert (event["object_uri"], event["outcome"]) == (f"s3://{BUCKET}/incoming/a.jpg", "LOW_CONFIDENCE")
    reviewed = False if debt == "undone" else None
    assert (event["confidence"], event["label"], event.get("reviewed")) == (0.6, None, reviewed)
    assert not {"undelivered", "claimed_until", "decided_by", "in_review"} & {*event}
    assert messages(stack) == [event["object_uri"]]
    assert not any({"undelivered", "claimed_until"} & {*item} for item in items(stack))


def test_what_an_execution_still_tries_to_publish_is_left_to_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = f"{stack.output('ClassifyImageStateMachineArn').replace('stateMachine', 'execution')}:1"
    put_record(stack, "incoming/a.jpg", "ACCEPTED", undelivered="event", execution_arn=arn)
    assert len(list(Delivery(stack).undelivered(NOW))) == 1, "there is no such execution any more"
    for status, debts in (("RUNNING", 0), ("ABORTED", 1), ("FAILED", 1)):
        answer = {"status": status}
        monkeypatch.setattr(stack.client("stepfunctions"), "describe_execution", lambda a=answer, **_: a)
        assert len(list(Delivery(stack).undelivered(NOW))) == debts


def test_a_record_that_was_replaced_meanwhile_is_published_as_it_is_now(stack: Stack) -> None:
    put_record(stack, "incoming/a.jpg", "LOW_CONFIDENCE", undelivered="event")
    (late,) = Delivery(stack).undelivered(NOW)
    put_record(stack, "incoming/a.jpg", "ACCEPTED", undelivered="event")
    Delivery(stack).deliver(late)
    assert [event["outcome"] for event in events(stack)] == ["ACCEPTED"]


@pytest.mark.parametrize(
    "answer",
    [
        {"FailedEntryCount": 1, "Entries": [{"ErrorMessage": "throttled"}]},
        {"FailedEntryCount": 1, "Entries": [{"ErrorMessage": ""}]},
        EndpointConnectionError(endpoint_url="https://events"),
        "PutEvents",  # is throttled
    ],
)
def test_an_event_that_cannot_be_published_stays_a_debt_that_anybody_may_pay(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    put_record(stack, "incoming/a.jpg", "ACCEPTED", undelivered="event")
    (late,) = Delivery(stack).undelivered(NOW)
    with monkeypatch.context() as patch:
        if isinstance(answer, str):
            Faults(stack).refuse(answer)
        else:
            patch.setattr(stack.client("events"), "put_events", Mock(side_effect=[answer]))
        with pytest.raises(NotPublishedError):
            Delivery(stack).deliver(late)
    (again,) = Delivery(stack).undelivered(NOW)
    assert Delivery(stack).deliver(again)
    assert len(events(stack)) == 1


def test_lost_review_messages_are_sent_again(stack: Stack, scones: Scones) -> None:
    put_record(stack, "incoming/doubtful.jpg", "LOW_CONFIDENCE", recorded_at=timestamp(NOW))
    put_record(stack, "incoming/sure.jpg", "ACCEPTED", recorded_at=timestamp(NOW))
    photo = f"s3://{BUCKET}/incoming/doubtful.jpg"
    for dry in (["--dry-run"], []):
        assert messages(stack) == []
        assert scones("redrive", "--reviews", "--json", *dry) == 0
        assert scones.lines[0] == {"photo": photo}
    assert messages(stack) == [photo]


def test_the_command_publishes_and_counts(stack: Stack, scones: Scones) -> None:
    put_record(stack, "incoming/a.jpg", "REJECTED", undelivered="event", execution_arn="arn:x")
    assert scones("redrive", "--missing", "--dry-run") == 0
    assert "1 event would be published" in scones.err
    assert scones("redrive", "--missing", "--json") == 0
    line, summary = scones.lines
    photo = f"s3://{BUCKET}/incoming/a.jpg"
    assert line == {"photo": photo, "outcome": "REJECTED", "delivered": ["event"]}
    assert (summary["summary"]["delivered"], summary["summary"]["photos"]) == (1, 0)
    assert len(events(stack)) == 1
