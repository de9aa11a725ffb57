"""The subscription to published outcomes: made, used and removed."""

import json
from typing import Any

import pytest

from commandline.errors import CommandError
from operations.outcomes import DETAIL_TYPE, SOURCE
from operations.photos import watcher
from operations.photos.watcher import OutcomeListener
from operations.stack import Stack


def publish(stack: Stack, detail: dict[str, Any], source: str = SOURCE) -> None:
    entry = {"Source": source, "DetailType": DETAIL_TYPE, "Detail": json.dumps(detail)}
    stack.client("events").put_events(Entries=[entry])


def leftovers(stack: Stack) -> list[Any]:
    rules = stack.client("events").list_rules()["Rules"]
    return [*rules, *stack.client("sqs").list_queues().get("QueueUrls", [])]


def test_it_hears_the_outcomes_of_its_bucket_once_and_leaves_nothing(stack: Stack) -> None:
    with OutcomeListener(stack) as listening:
        publish(stack, {"object_uri": "s3://photos/incoming/a.jpg", "outcome": "ACCEPTED"})
        publish(stack, {"object_uri": "s3://another/incoming/a.jpg", "outcome": "ACCEPTED"})
        publish(stack, {"object_uri": "s3://photos/incoming/b.jpg"}, source="somebody.else")
        heard = [detail["object_uri"] for detail in listening.receive(0)]
        assert heard == ["s3://photos/incoming/a.jpg"]
        assert list(listening.receive(0)) == []
    assert leftovers(stack) == []


def test_two_at_once_do_not_hear_each_others_probes(stack: Stack) -> None:
    with OutcomeListener(stack) as first, OutcomeListener(stack):
        assert list(first.receive(0)) == []


def test_the_queue_takes_messages_of_its_rule_only(stack: Stack) -> None:
    with OutcomeListener(stack):
        (url,) = stack.client("sqs").list_queues()["QueueUrls"]
        (rule,) = stack.client("events").list_rules()["Rules"]
        attributes = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        (statement,) = json.loads(attributes["Attributes"]["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": rule["Arn"]}}


def test_a_rule_that_delivers_nothing_is_told_and_removed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "_READY_TIMEOUT_S", 0.01)
    monkeypatch.setattr(stack.client("events"), "put_events", lambda **_: None)
    with pytest.raises(CommandError, match="no event reached the queue"), OutcomeListener(stack):
        pass
    assert leftovers(stack) == []


def test_an_error_inside_is_not_hidden_by_one_of_the_removal(stack: Stack) -> None:
    sqs = stack.client("sqs")

    def work() -> None:
        with OutcomeListener(stack):
            sqs.delete_queue(QueueUrl=sqs.list_queues()["QueueUrls"][0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
