"""The rule matches uploads under incoming/ and nothing else, and keeps what it cannot deliver."""

import copy
import json
from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.support.sam_app import event, expected, resources, template

BUCKET = "scones-photos"
RULE = template()["Resources"]["ClassifyImageStateMachine"]["Properties"]["Events"]["PhotoUploaded"]


def pattern() -> dict[str, Any]:
    """Return the rule's pattern, with the bucket of the sample events."""
    wanted: dict[str, Any] = copy.deepcopy(RULE["Properties"]["Pattern"])
    assert wanted["detail"]["bucket"]["name"] == [{"Ref": "PhotoBucket"}]
    wanted["detail"]["bucket"]["name"] = [BUCKET]
    return wanted


PATTERN = EventPattern.load(json.dumps(pattern()))
# The operators that moto evaluates (it takes any other for a match); those of the rule must be among them.
OPERATORS = {"prefix", "suffix", "wildcard", "numeric", "anything-but", "exists", "equals-ignore-case"}


def operators(node: Any) -> set[str]:
    """Return the operators in a pattern: the keys of the objects in its lists."""
    if isinstance(node, list):
        return {key for rule in node if isinstance(rule, dict) for key in rule}
    return set().union(*map(operators, node.values())) if node else set()


def matches(candidate: Any) -> bool:
    """Return whether the rule's pattern matches an event."""
    return bool(PATTERN.matches_event(candidate))


def test_moto_evaluates_every_operator_of_the_rule() -> None:
    assert operators(pattern()) <= OPERATORS


@pytest.mark.parametrize(("name", "answer"), expected("eventbridge/").items())
def test_the_rule_matches_as_expected(name: str, answer: dict[str, Any]) -> None:
    assert matches(event(name)) is answer["matches"]


@pytest.mark.parametrize(
    ("key", "matched"),
    [
        ("incoming/a.jpg", True),
        ('incoming/2026/11/12/driver 7/a+b %41 "quoted".jpg', True),
        ("incoming/", True),
        ("incoming", False),
        ("Incoming/a.jpg", False),
        ("/incoming/a.jpg", False),
        ("processed/incoming/a.jpg", False),
        ("models/model.tar.gz", False),
        ("a.jpg", False),
    ],
)
def test_only_keys_under_incoming_match(key: str, *, matched: bool) -> None:
    upload = event("eventbridge/object_created.json")
    upload["detail"]["object"]["key"] = key
    assert matches(upload) is matched


def test_published_outcomes_do_not_match() -> None:
    outcome = {"source": "scones.vehicle-classification", "detail-type": "Vehicle Classified", "detail": {}}
    assert not matches(outcome)


def test_the_event_is_passed_unchanged() -> None:
    # A transformer would have to quote special characters in keys; the workflow reads the event itself.
    assert not {"Input", "InputPath", "InputTransformer"} & set(RULE["Properties"])


def test_the_bucket_sends_events() -> None:
    bucket = resources("AWS::S3::Bucket")["PhotoBucket"]["Properties"]
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    # Events then name a version, and a new photo under an old key has its own result.
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_the_dead_letter_queue_can_receive_from_this_rule() -> None:
    queue = RULE["Properties"]["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
    policies = [
        policy["Properties"]["PolicyDocument"]["Statement"]
        for policy in resources("AWS::SQS::QueuePolicy").values()
        if {"Ref": queue} in policy["Properties"]["Queues"]
    ]
    ((statement,),) = policies
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
    # SAM names the rule after the state machine and its event.
    assert statement["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["ClassifyImageStateMachinePhotoUploaded", "Arn"]}}
    }


def test_the_review_queue_has_a_dead_letter_queue() -> None:
    queues = resources("AWS::SQS::Queue")
    target = queues["ReviewQueue"]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert target in queues
    assert target != "ReviewQueue"
