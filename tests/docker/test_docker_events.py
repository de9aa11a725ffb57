"""Every sample event in Docker answers what it answers on AWS's runtime emulator without Docker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.lambda_runtime import Invoke
from tests.support.local_cloud import LocalCloud, wait_until
from tests.support.sam_app import EVENTS, FOLDERS, LOGICAL_IDS, event, expected
from tests.support.sam_local import SamLocal

NAMES = [f"{folder}/{path.name}" for folder in FOLDERS for path in sorted((EVENTS / folder).glob("*.json"))]
RAISING = [name for name in NAMES if "error" in expected()[name]]

_STATES = {
    "serialize_image": "SerializeImage",
    "classify_image": "ClassifyImage",
    "filter_inference": "FilterInference",
}


@pytest.mark.parametrize("name", NAMES)
def test_docker_answers_as_the_emulator(
    name: str, sam_local: SamLocal, start_lambda: Any, emulator: dict[str, Invoke]
) -> None:
    folder = name.partition("/")[0]
    payload = (EVENTS / name).read_bytes()

    on_emulator = comparable(emulator[folder](json.loads(payload)), sam_local.code(folder))
    invoked = comparable(sam_local.invoke(folder, EVENTS / name))
    called = start_lambda.invoke(FunctionName=LOGICAL_IDS[folder], Payload=payload)
    through_sdk = comparable(json.loads(called["Payload"].read()))

    assert invoked == on_emulator
    assert through_sdk == on_emulator


@pytest.mark.parametrize("name", RAISING)
def test_an_error_has_its_class_name_everywhere(
    name: str,
    start_lambda: Any,
    emulator: dict[str, Invoke],
    error_in_workflow: Callable[[str], str],
) -> None:
    folder = name.partition("/")[0]
    called = start_lambda.invoke(FunctionName=LOGICAL_IDS[folder], Payload=json.dumps(event(name)))
    assert {
        "Docker": json.loads(called["Payload"].read()).get("errorType"),
        "emulator": emulator[folder](event(name)).get("errorType"),
        "workflow": error_in_workflow(name),
    } == dict.fromkeys(("Docker", "emulator", "workflow"), expected()[name]["error"])


@pytest.fixture(scope="module")
def error_in_workflow(cloud: LocalCloud) -> Callable[[str], str]:
    """Return the error that an event's function raises in the deployed workflow.

    The workflow is entered at that function: after its first state, as when the states before had answered
    with the event.
    """
    client = cloud.client("stepfunctions")
    deployed = client.describe_state_machine(stateMachineArn=cloud.outputs["ClassifyImageStateMachineArn"])
    machines = {}
    for folder, state in _STATES.items():
        definition = json.loads(deployed["definition"])
        definition["States"][definition["StartAt"]]["Next"] = state
        machine = client.create_state_machine(
            name=f"enter-at-{state}", definition=json.dumps(definition), roleArn=deployed["roleArn"]
        )
        machines[folder] = machine["stateMachineArn"]

    def error(name: str) -> str:
        arn = machines[name.partition("/")[0]]
        execution = client.start_execution(stateMachineArn=arn, input=json.dumps(event(name)))["executionArn"]
        wait_until(lambda: client.describe_execution(executionArn=execution)["status"] != "RUNNING")
        history = client.get_execution_history(executionArn=execution)["events"]
        failed = [event["taskFailedEventDetails"] for event in history if "taskFailedEventDetails" in event]
        return str(failed[0]["error"])  # the function; a record that is there already may refuse another

    return error


def comparable(answer: dict[str, Any], code: Path | None = None) -> dict[str, Any]:
    """Return an answer without what differs between invocations, such as the folder of the code."""
    if "errorType" not in answer:
        return answer
    assert answer["requestId"]
    trace = [line.replace(str(code), "/var/task") if code else line for line in answer["stackTrace"]]
    return {**answer, "requestId": "", "stackTrace": trace}
