"""What is deployed is refused as in AWS's recordings, and keeps its queries and concurrency."""

import json
from typing import Any

import pytest
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from localcloud.ministack.cloudformation import alarm_record, problems, refusal, reserve
from tests.support.sam_app import definition

CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"


def machine(state: dict[str, Any], **more: Any) -> str:
    return json.dumps({"StartAt": "A", "States": {"A": {"End": True, **state}}, **more})


def task(resource: str) -> str:
    return machine({"Type": "Task", "Resource": resource})


@pytest.mark.parametrize(
    ("text", "kind", "code", "location"),
    [
        ("{", "STANDARD", "INVALID_JSON_DESCRIPTION", "/"),
        ('{"States": {}}', "STANDARD", "SCHEMA_VALIDATION_FAILED", "/"),
        (machine({"Type": "Pass", "Next": "B"}), "STANDARD", "MISSING_TRANSITION_TARGET", "/States/A/Next"),
        (machine({"Type": "Task"}), "STANDARD", "SCHEMA_VALIDATION_FAILED", "/States/A"),
        (task(CALLBACK), "EXPRESS", "SCHEMA_VALIDATION_FAILED", "/States/A/Resource"),
        (
            task("arn:aws:states:::dynamodb:query"),
            "STANDARD",
            "SCHEMA_VALIDATION_FAILED",
            "/States/A/Resource",
        ),
        (machine({"Type": "Map", "Label": "a b"}), "STANDARD", "SCHEMA_VALIDATION_FAILED", "/States/A/Label"),
        (
            machine({"Type": "Pass", "QueryLanguage": "JSONPath"}, QueryLanguage="JSONata"),
            *("STANDARD", "SCHEMA_VALIDATION_FAILED", "/States/A"),
        ),
        (
            machine({"Type": "Map", "ItemProcessor": json.loads(task(CALLBACK)), "Label": "ok"}),
            *("EXPRESS", "SCHEMA_VALIDATION_FAILED", "/States/A/ItemProcessor/States/A/Resource"),
        ),
    ],
)
def test_what_is_wrong_is_named(text: str, kind: str, code: str, location: str) -> None:
    (found,) = problems(text, kind)
    assert (found["code"], found["location"]) == (code, location)
    error = refusal({"definition": text, "type": kind})
    assert error is not None
    assert error[0] == "InvalidDefinition"
    assert f"at {location}" in error[1]


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_the_workflow_is_taken(kind: str) -> None:
    assert refusal({"definition": json.dumps(definition(kind)), "type": kind}) is None
    assert problems(task(CALLBACK), "STANDARD") == []


@pytest.mark.parametrize(
    ("logs", "refused"),
    [({"level": "FATAL"}, True), ({"level": "OFF"}, False), ({"level": "ALL", "destinations": [{}]}, False)],
)
def test_a_log_has_one_destination(logs: dict[str, Any], *, refused: bool) -> None:
    text = "Invalid Logging Configuration: Must specify exactly one Log Destination."
    error = ("InvalidLoggingConfiguration", text)
    assert refusal({"loggingConfiguration": logs}) == (error if refused else None)


def test_an_alarm_on_metric_math_keeps_its_queries() -> None:
    alarm = {
        "Metrics": [{"Id": "share", "Expression": "a / b"}],
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 50,
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:alerts"],
    }
    original = provisioners._cw_metric_alarm_record  # noqa: SLF001
    with pytest.raises(ValueError, match="metric math"):  # else the repair is no longer needed
        original("share", alarm)
    record = alarm_record(original, "share", alarm)
    assert (record["Threshold"], record["Metrics"]) == (50, alarm["Metrics"])


def test_a_function_has_its_reserved_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    functions: dict[str, Any] = {"f": {"concurrency": None}}
    monkeypatch.setattr(lambda_svc, "_functions", functions)
    for wanted, found in (({"ReservedConcurrentExecutions": "5"}, 5), ({}, None)):
        reserve(lambda *_: ("f", {}), 1, "F", wanted, "stack")
        assert functions["f"]["concurrency"] == found
