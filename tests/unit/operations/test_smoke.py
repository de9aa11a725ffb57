"""A smoke test beside people's work: it proves the deployment and takes nothing from their queue."""

import json
from collections.abc import Iterator
from typing import Any, cast
from unittest.mock import Mock

import pytest
from moto.events.models import EventPattern

from operations import checks, proofs, smoke
from operations.checks import Check
from operations.photos.watcher import Watcher
from operations.smoke import Sample, SmokeTest
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, put_record, with_workflow
from tests.support.review import review_stack

Outcomes = dict[str, tuple[str, str | None]]  # outcome and error by the last part of the key
OUTCOMES: Outcomes = {
    "cat.jpg": ("LOW_CONFIDENCE", "THRESHOLD_CONFIDENCE_NOT_MET"),
    "text.png": ("REJECTED", "UnsupportedImage"),
    "unreadable.jpg": ("FAILED", "ObjectNotReadable"),
    "never-uploaded.jpg": ("REJECTED", "ObjectNotFound"),
}
SAMPLES = [Sample("bicycle.jpg", b"photo", "ACCEPTED")] + [
    Sample(name, b"photo", *end) for name, end in OUTCOMES.items() if name != "never-uploaded.jpg"
]
WAITING = 30
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:*", "Effect": "Allow"}],
}


@pytest.fixture
def stack(aws: None, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Return a stack with 30 photos on its review queue, which a rule feeds."""
    del aws
    for name, seconds in {"QUIET_S": 0.01, "CANARY_PAUSE_S": 0.01, "CANARY_S": 1, "LOG_S": 0.01}.items():
        monkeypatch.setattr(smoke, name, seconds)
    made = with_workflow(review_stack())
    sqs, url = made.client("sqs"), made.output("ReviewQueueUrl")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(POLICY)})
    ours = [{"anything-but": {"prefix": f"s3://{BUCKET}/incoming/smoke/"}}]
    pattern = {"detail": {"outcome": ["LOW_CONFIDENCE"], "object_uri": ours}}
    made.client("events").put_rule(Name="review", EventPattern=json.dumps(pattern))
    for number in range(WAITING):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"object_uri": f"s3://photos/{number}.jpg"}))
    return made


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Answer what moto does not; return the requests for log lines, whose first page is empty."""
    requests: list[dict[str, Any]] = []
    real = checks.ask

    def ask(session: Any, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation == "TestEventPattern":
            event = json.loads(parameters["Event"])
            return {"Result": EventPattern.load(parameters["EventPattern"]).matches_event(event)}
        if operation != "FilterLogEvents":
            return real(session, service, operation, **parameters)
        requests.append(parameters)
        return {"events": [1]} if "nextToken" in parameters else {"events": [], "nextToken": "more"}

    monkeypatch.setattr(smoke, "ask", ask)
    monkeypatch.setattr(proofs, "ask", ask)
    return requests


class Application:
    """Stands in for an `OutcomeListener`: classifies what is new, and what is started that does not exist."""

    def __init__(self, stack: Stack, outcomes: Outcomes) -> None:
        self._stack, self._outcomes, self._seen = stack, outcomes, set[tuple[str, str]]()

    def receive(self, wait_s: int) -> Iterator[dict[str, Any]]:
        """Record and yield the outcomes, ACCEPTED by default."""
        del wait_s
        listed = self._stack.client("s3").list_object_versions(Bucket=BUCKET, Prefix="incoming/")
        for one in listed.get("Versions", []):
            yield from self._classify(one["Key"], one["VersionId"])
        workflow = self._stack.client("stepfunctions")
        machine = self._stack.outputs["ClassifyImageStateMachineArn"]
        for execution in workflow.list_executions(stateMachineArn=machine)["executions"]:
            arn = execution["executionArn"]
            photo = json.loads(workflow.describe_execution(executionArn=arn)["input"])
            if "version_id" not in photo:
                yield from self._classify(photo["s3_key"], "unversioned")
            workflow.stop_execution(executionArn=arn)

    def _classify(self, key: str, version: str) -> Iterator[dict[str, Any]]:
        if (key, version) in self._seen:
            return
        self._seen.add((key, version))
        outcome, error = self._outcomes.get(key.rsplit("/", 1)[-1], ("ACCEPTED", None))
        facts = {"object_version": version, "label": "bicycle", "recorded_at": "2026-11-25T10:00:00.000Z"}
        # Of an Express execution, which has no DescribeExecution.
        facts["execution_arn"] = f"arn:aws:states:eu-west-1:123456789012:express:classify:{len(self._seen)}:x"
        facts |= {"error": error} if error else {}
        put_record(self._stack, key, outcome, **facts)
        yield {"object_uri": f"s3://{BUCKET}/{key}", "outcome": outcome, "error": error, **facts}


def run(stack: Stack, outcomes: Outcomes = OUTCOMES) -> dict[str, Check]:
    """Run a smoke test and return its checks by name."""
    watcher = Watcher(stack, cast("Any", Application(stack, outcomes)), timeout_s=1)
    test = SmokeTest(watcher, SAMPLES)
    try:
        return {check.name: check for check in test.run()}
    finally:
        test.clean_up()


def test_it_takes_no_waiting_photo_however_often_it_runs_and_leaves_nothing(
    stack: Stack, asked: list[dict[str, Any]]
) -> None:
    for again in (False, True, True):
        found = run(stack)
        assert [name for name, check in found.items() if check.status == "wrong"] == []
        assert (found["review queue"].status, found["log"].status) == ("ok", "ok")
        assert "Versions" not in stack.client("s3").list_object_versions(Bucket=BUCKET)
        # The application that is played here delivers the executions of the runs before again.
        assert again or stack.client("dynamodb").scan(TableName="results")["Items"] == []
    assert all(parameters["startTime"] > 1_700_000_000_000 for parameters in asked)
    assert stack.messages("ReviewQueueUrl") == WAITING
    received = stack.client("sqs").receive_message(
        QueueUrl=stack.outputs["ReviewQueueUrl"], MaxNumberOfMessages=10, AttributeNames=["All"]
    )
    assert {message["Attributes"]["ApproximateReceiveCount"] for message in received["Messages"]} == {"1"}


@pytest.mark.parametrize(
    ("header", "traces", "status"),
    [
        ("Root=1-a;Sampled=0", [], "unknown"),
        ("Root=1-a;Sampled=1", [{}], "ok"),
        ("Root=1-a;Sampled=1", [], "wrong"),
    ],
)
def test_a_trace_is_looked_for_where_one_was_sampled(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, header: str, traces: list[dict[str, Any]], status: str
) -> None:
    real = vars(smoke)["ask"]  # with the answers of `asked`

    def ask(session: Any, service: str, operation: str, **parameters: Any) -> Any:
        if operation == "DescribeExecution":
            return {"traceHeader": header}
        if operation != "BatchGetTraces":
            return real(session, service, operation, **parameters)
        assert parameters == {"TraceIds": ["1-a"]}
        return {"Traces": traces}

    monkeypatch.setattr(smoke, "ask", ask)
    monkeypatch.setattr(smoke, "is_express", lambda _: False)
    assert run(stack)["trace"].status == status


AGAIN = "deploy the stack again"
ENABLE = "aws events enable-rule --name review"


@pytest.mark.parametrize(
    ("damage", "arguments", "detail", "advice"),
    [
        ("events.disable_rule", {"Name": "review"}, "the rule review is DISABLED", ENABLE),
        ("events.remove_targets", {"Rule": "review", "Ids": ["queue"]}, "no rule sends", AGAIN),
        ("sqs.set_queue_attributes", {"Attributes": {"Policy": ""}}, "its policy", AGAIN),
    ],
)
def test_what_keeps_photos_from_review_is_named(
    stack: Stack, damage: str, arguments: dict[str, Any], detail: str, advice: str
) -> None:
    service, method = damage.split(".")
    queue = {"QueueUrl": stack.outputs["ReviewQueueUrl"]} if service == "sqs" else {}
    getattr(stack.client(service), method)(**queue, **arguments)
    check = run(stack)["review queue"]
    assert (check.status, check.advice) == ("wrong", advice)
    assert detail in check.detail


def test_a_rule_that_starts_nothing_is_named(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.client("events").put_rule(Name="uploads", EventPattern='{"source": ["aws.s3"]}', State="DISABLED")
    monkeypatch.setattr(Stack, "resources", {"PhotoUploadedRule": ("AWS::Events::Rule", "uploads")})
    monkeypatch.setattr(smoke, "CANARY_S", 0.01)
    silent: Any = Mock(receive=lambda _: iter(()))
    (check,) = SmokeTest(Watcher(stack, silent), SAMPLES).run()
    assert "the PhotoUploadedRule is disabled: uploads start no workflow" in check.detail
    assert "; next: aws events enable-rule --name uploads" in check.detail


def test_an_unexpected_outcome_names_what_to_correct(stack: Stack) -> None:
    check = run(stack, {**OUTCOMES, "cat.jpg": ("ACCEPTED", None)})["LOW_CONFIDENCE cat.jpg"]
    assert check.status == "wrong"
    assert "ended ACCEPTED" in check.detail
    assert "ConfidenceThreshold" in check.advice
