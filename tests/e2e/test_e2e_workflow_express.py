"""WorkflowType=EXPRESS: executions have a log and nothing else, and a photo's way is read from it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from commandline.aws import open_session
from commandline.errors import CommandError
from operations.review.live import Live
from operations.stack import Stack, find_stack
from tests.e2e.conftest import scones
from tests.e2e.test_e2e_workflow import RED
from tests.support.local_cloud import LocalCloud, environment_of, wait_until

STATES = ["SerializeImage", "ClassifyImage", "FilterInference"]
STATES += ["RecordOutcome", "PublishOutcome", "MarkDelivered"]
FAILS = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "States.Runtime"}}}


def deploy(cloud: LocalCloud, workflow_type: str) -> None:
    """Change the parameter WorkflowType of the deployed stack, as `sam deploy` does."""
    cloudformation = cloud.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName="scones")["Stacks"]
    changed = {"ParameterKey": "WorkflowType", "ParameterValue": workflow_type}
    kept = [one for one in stack["Parameters"] if one["ParameterKey"] != "WorkflowType"]
    cloudformation.update_stack(
        StackName="scones",
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[*kept, changed],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName="scones", WaiterConfig={"Delay": 1})


@pytest.fixture(scope="module")
def express(cloud: LocalCloud) -> Iterator[Stack]:
    deploy(cloud, "EXPRESS")
    with environment_of(cloud.running):
        yield find_stack("scones", open_session())
    deploy(cloud, "STANDARD")


def test_a_photos_way_is_in_the_log(cloud: LocalCloud, express: Stack) -> None:
    version = cloud.upload("incoming/express.jpg", RED)
    live, trace = Live(express), dict[str, Any]()

    def traced() -> bool:
        try:
            trace.update(live.trace("incoming/express.jpg", version))
        except CommandError:  # it has no record yet
            return False
        return bool(trace["steps"]) and trace["steps"][-1]["name"] == "Accepted"

    wait_until(traced)
    record, steps = trace["record"], trace["steps"]
    assert (record["outcome"], ":express:" in record["execution_arn"]) == ("ACCEPTED", True)
    assert [step["name"] for step in steps if step["attempts"]] == STATES
    assert all(step["seconds"] > 0 for step in steps[:2])
    shown = scones(cloud.folder, "show", "express.jpg", "--json")
    assert json.loads(shown.stdout)["steps"] == steps
    wait_until(lambda: live.state()["running"] == 0)


def test_an_execution_without_an_outcome_raises_the_alarm(cloud: LocalCloud, express: Stack) -> None:
    workflow, cloudwatch = cloud.client("stepfunctions"), cloud.client("cloudwatch")
    machine = express.output("ClassifyImageStateMachineArn")
    definition = workflow.describe_state_machine(stateMachineArn=machine)["definition"]
    alarm = {"StackName": "scones", "LogicalResourceId": "PhotosWithoutOutcomeAlarm"}
    found = cloud.client("cloudformation").describe_stack_resource(**alarm)["StackResourceDetail"]
    alarms = {"AlarmNames": [found["PhysicalResourceId"]]}
    workflow.update_state_machine(stateMachineArn=machine, definition=json.dumps(FAILS))
    try:
        cloud.upload("incoming/express-lost.jpg", RED)
        wait_until(lambda: cloudwatch.describe_alarms(**alarms)["MetricAlarms"][0]["StateValue"] == "ALARM")
    finally:
        workflow.update_state_machine(stateMachineArn=machine, definition=definition)
