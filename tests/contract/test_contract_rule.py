"""Which events start the workflow and which ask for a review; what cannot be delivered is kept."""

import json
import re
from typing import Any

import pytest
from moto.events.models import EventPattern
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

from tests.contract.test_contract_roles import statements
from tests.support.sam_app import MACHINES, ROOT, event, expected, resources, template

BUCKET = "scones-photos"
MACHINE, EXPRESS = "scones-ClassifyImageStateMachine-0f0f", "scones-ClassifyImageExpressStateMachine-1f1f"
STATE_MACHINE_ARN = f"arn:aws:states:us-east-1:111122223333:stateMachine:{MACHINE}"
PUBLISHED = {"source": "scones.vehicle-classification", "detail-type": "Vehicle Classified"}
TARGETS = {
    name: template()["Resources"][name]["Properties"]["Targets"][0]
    for name in ("PhotoUploadedRule", "ReviewRule")
}
NAMES = {
    "PhotoBucket": BUCKET,
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "111122223333",
    "ClassifyImageStateMachine": STATE_MACHINE_ARN,
    "ClassifyImageStateMachine.Name": MACHINE,
    "ClassifyImageExpressStateMachine.Name": EXPRESS,
}
EXECUTION = "arn:aws:states:us-east-1:111122223333:{}:{}:0f0f:0a0a"


def matches(rule: str, candidate: Any) -> bool:
    """Return whether a rule matches an event, with this stack's names for CloudFormation's functions."""
    text = json.dumps(template()["Resources"][rule]["Properties"]["EventPattern"])
    assert BUCKET not in text
    text = re.sub(r'\{"Ref": "(\w+)"\}', r'"${\1}"', re.sub(r'\{"Fn::Sub": ("[^"]+")\}', r"\1", text))
    for name, value in NAMES.items():
        text = text.replace(f"${{{name}}}", value)
    assert not any(left in text for left in ("Fn::", '"Ref"', "${", "wildcard"))
    return bool(EventPattern.load(text).matches_event(candidate))


@pytest.mark.parametrize(("name", "answer"), expected("eventbridge/").items())
def test_the_rule_matches_as_expected(name: str, answer: dict[str, Any]) -> None:
    assert matches("PhotoUploadedRule", event(name)) is answer["matches"]


@pytest.mark.parametrize(
    ("key", "matched"),
    [
        *((key, True) for key in ("incoming/a.jpg", "incoming/", 'incoming/7/driver 7/a+b %41 "quoted".jpg')),
        *((key, False) for key in ("incoming", "Incoming/a.jpg", "/incoming/a.jpg", "a.jpg")),
        *((key, False) for key in ("processed/incoming/a.jpg", "models/model.tar.gz")),
    ],
)
def test_only_keys_under_incoming_match(key: str, *, matched: bool) -> None:
    upload = event("eventbridge/object_created.json")
    upload["detail"]["object"]["key"] = key
    assert matches("PhotoUploadedRule", upload) is matched


def test_the_event_is_passed_unchanged_and_outcomes_do_not_match() -> None:
    assert not matches("PhotoUploadedRule", {**PUBLISHED, "detail": {}})
    # A transformer would have to quote special characters in keys; the workflow reads the event itself.
    assert not {"Input", "InputPath", "InputTransformer"} & set(TARGETS["PhotoUploadedRule"])


def test_the_type_chooses_the_target_and_replaces_nothing() -> None:
    both = [{"Ref": MACHINES["EXPRESS"]}, {"Ref": MACHINES["STANDARD"]}]
    target = TARGETS["PhotoUploadedRule"]
    assert target["Arn"] == {"Fn::If": ["IsExpress", *both]}
    assert template()["Outputs"]["ClassifyImageStateMachineArn"]["Value"] == target["Arn"]
    (statement,) = statements(target["RoleArn"]["Fn::GetAtt"][0])
    assert statement["Action"] == "states:StartExecution"
    assert all(machine in statement["Resource"] for machine in both), "also while the update is under way"


@pytest.mark.parametrize(
    ("detail", "matched"),
    [
        ({}, True),
        ({"reviewed": False}, True),
        ({"reviewed": True}, False),
        ({"outcome": "ACCEPTED"}, False),
        ({"outcome": "FAILED"}, False),
        ({"execution_arn": EXECUTION.format("express", EXPRESS)}, True),
        ({"execution_arn": EXECUTION.format("execution", EXPRESS)}, False),
        ({"execution_arn": EXECUTION.format("execution", f"{MACHINE}-2")}, False),
        ({"object_uri": f"s3://{BUCKET}/incoming/smoke/0f0f/a.jpg"}, False),
        ({"in_review": "2026-11-25T10:00:00.000Z"}, False),
    ],
)
def test_doubtful_photos_that_nobody_has_decided_are_reviewed(
    detail: dict[str, Any], *, matched: bool
) -> None:
    photo = {"object_uri": f"s3://{BUCKET}/incoming/a.jpg", "outcome": "LOW_CONFIDENCE"}
    photo["execution_arn"] = EXECUTION.format("execution", MACHINE)
    assert matches("ReviewRule", {**PUBLISHED, "detail": photo | detail}) is matched
    assert TARGETS["ReviewRule"]["InputPath"] == "$.detail", "a message is the outcome as it is published"
    assert TARGETS["ReviewRule"]["Arn"] == {"Fn::GetAtt": ["ReviewQueue", "Arn"]}


def test_the_bucket_sends_events() -> None:
    bucket = resources("AWS::S3::Bucket")["PhotoBucket"]["Properties"]
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    # Events then name a version, and a new photo under an old key has its own result.
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_queues_receive_from_our_rules_only() -> None:
    # Another logical name: CloudFormation removes the old resource last, and with it the queue's policy.
    assert list(resources("AWS::SQS::QueuePolicy")) == ["UndeliveredEventsQueuePolicy"]
    policy = resources("AWS::SQS::QueuePolicy")["UndeliveredEventsQueuePolicy"]["Properties"]
    queues, rules = set(), []
    for rule, target in TARGETS.items():
        assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] >= 6 * 3600
        arns = (target["DeadLetterConfig"]["Arn"], target["Arn"])
        queues |= {one["Fn::GetAtt"][0] for one in arns if "Fn::GetAtt" in one}
        rules.append({"Fn::GetAtt": [rule, "Arn"]})
    assert {one["Ref"] for one in policy["Queues"]} == queues
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": rules}}
    # SQS takes a policy for its own queue only: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/
    # SQSDeveloperGuide/sqs-creating-custom-policies-architecture.html
    assert statement["Resource"] == "*"


def test_the_review_queue_has_a_dead_letter_queue() -> None:
    queues = resources("AWS::SQS::Queue")
    target = queues["ReviewQueue"]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert target in queues
    assert target != "ReviewQueue"


@pytest.mark.parametrize(
    ("detail", "sent"),
    [
        ({"outcome": "ACCEPTED"}, True),
        ({"outcome": "ACCEPTED", "reviewed": True}, True),
        ({"outcome": "LOW_CONFIDENCE"}, False),
        ({"outcome": "REJECTED", "reviewed": True}, False),
        ({"outcome": "ACCEPTED", "object_uri": "s3://another/incoming/a.jpg"}, False),
    ],
)
def test_the_rule_that_the_page_shows_takes_accepted_photos(detail: dict[str, Any], *, sent: bool) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(LoadingBayRule:.+?)```", page, re.DOTALL)
    rule = yaml_parse(text.replace("<PhotoBucketName>", "photos"))["LoadingBayRule"]["Properties"]
    event: Any = {**PUBLISHED, "detail": {"object_uri": "s3://photos/incoming/a.jpg", **detail}}
    assert EventPattern.load(json.dumps(rule["EventPattern"])).matches_event(event) is sent
