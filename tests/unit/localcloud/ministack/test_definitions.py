"""State machines that AWS refuses are refused here, in the order and with the codes of its recordings."""

import json
from typing import Any

import pytest

from localcloud.ministack.definitions import logging_problem, problems, refusal
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


def test_a_log_has_one_destination() -> None:
    assert logging_problem({"level": "FATAL"}) == "Must specify exactly one Log Destination."
    assert logging_problem({"level": "OFF"}) == logging_problem({"level": "ALL", "destinations": [{}]}) == ""
