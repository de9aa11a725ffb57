"""What doctor proves with AWS's engines, played here by the tests' own interpreter of the workflow."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from localcloud.ministack.cloudwatch import pattern
from operations import proofs
from operations.checks import Status
from operations.proofs import Proofs
from operations.stack import Stack
from tests.support.sam_app import definition, resources
from tests.support.workflow_interpreter import Execution, TaskError

MACHINE = "arn:aws:states:us-east-1:111122223333:stateMachine:classify"
Answer = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """Return AWS's answers by operation, for a test to add to."""
    resources = {"ClassifyImageStateMachine": ("AWS::StepFunctions::StateMachine", MACHINE)}
    monkeypatch.setattr(Stack, "resources", resources)
    answers: dict[str, Answer] = {
        "DescribeStateMachine": lambda _: {"definition": json.dumps(definition())},
        "TestState": run_state,
    }
    monkeypatch.setattr(proofs, "ask", lambda _, __, operation, **request: answers[operation](request))
    return answers


def run_state(request: dict[str, Any]) -> dict[str, Any]:
    """Run one state with its mocked result, as Step Functions' TestState does."""
    mock = request.get("mock", {})

    def result(*_: Any) -> Any:
        if "errorOutput" in mock:
            raise TaskError(mock["errorOutput"]["error"], mock["errorOutput"]["cause"])
        return json.loads(mock["result"])

    machine = json.loads(request["definition"])
    state = machine["States"][request["stateName"]]
    if state["Type"] in {"Succeed", "Fail"}:
        return {"status": "SUCCEEDED"}
    execution = Execution(machine, result)
    execution.variables = json.loads(request["variables"])
    data = json.loads(request["input"])
    try:
        if state["Type"] == "Parallel":
            transition, states = state, {"input": data, "result": result()}
        else:
            transition, states = execution.execute(request["stateName"], state, data)
        data = execution.leave(transition, states)
    except TaskError as error:
        transition, data = execution.catch(state, data, error)
    kept = {"variables": json.dumps(execution.variables)}
    return {"nextState": transition["Next"], "output": json.dumps(data), "inspectionData": kept}


def proved(name: str) -> Any:
    stack = Proofs(Stack("scones", {}, boto3.Session(region_name="us-east-1")))
    (check,) = getattr(stack, name)()
    return check


def filters() -> list[dict[str, Any]]:
    """Return the metric filters of the outcomes' log as DescribeMetricFilters has them."""
    found = [one["Properties"] for one in resources("AWS::Logs::MetricFilter").values()]
    return [
        {
            "filterPattern": one["FilterPattern"],
            "metricTransformations": [{"metricName": one["MetricTransformations"][0]["MetricName"]}],
        }
        for one in found
        if one["LogGroupName"]["Ref"] == "OutcomeLogGroup"
    ]


def matches(request: dict[str, Any]) -> dict[str, Any]:
    """Match lines as CloudWatch Logs' TestMetricFilter does."""
    matched = pattern(request["filterPattern"])
    lines = enumerate(request["logEventMessages"], start=1)
    return {"matches": [{"eventNumber": number} for number, line in lines if matched(line)]}


def test_the_workflow_is_walked_to_each_of_its_ends(engines: dict[str, Answer]) -> None:
    check = proved("workflow_states")
    assert check.status is Status.OK, check.detail
    changed = definition()
    changed["States"]["SerializeImage"]["Catch"][0]["Next"] = "GiveUp"
    engines["DescribeStateMachine"] = lambda _: {"definition": json.dumps(changed)}
    check = proved("workflow_states")
    assert check.status is Status.WRONG
    assert check.detail.startswith("SerializeImage with UnsupportedImage ends in ClassificationFailed")


def test_every_line_counts_for_its_metric(engines: dict[str, Answer]) -> None:
    engines["DescribeMetricFilters"] = lambda _: {"metricFilters": filters()}
    engines["TestMetricFilter"] = matches
    check = proved("metric_filters")
    assert check.status is Status.OK, check.detail
    engines["DescribeMetricFilters"] = lambda _: {"metricFilters": filters()[1:]}
    assert "counts for nothing" in proved("metric_filters").detail
