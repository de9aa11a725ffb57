"""Each role allows exactly the calls that its code or workflow makes, on exactly their resources."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tests.support.sam_app import FOLDERS, FUNCTIONS, LOGICAL_IDS, MACHINES, definition, template

RESOURCES = template()["Resources"]

# Calls that Lambda and Step Functions make under a role.
WRITES_LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
WRITES_TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
DELIVERS_LOGS = {f"logs:{call}LogDelivery" for call in ("Create", "Get", "Update", "Delete")} | {
    *("logs:ListLogDeliveries", "logs:DescribeLogGroups"),
    *("logs:PutResourcePolicy", "logs:DescribeResourcePolicies"),
}
SAMPLES_TRACES = {"xray:GetSamplingRules", "xray:GetSamplingTargets"}

# boto3's service names that differ from IAM's, and further actions that a call needs.
IAM_NAMES = {"sagemaker-runtime": "sagemaker", "stepfunctions": "states"}
# A request with a version id; and the permission without which a missing object is 403 instead of 404.
IMPLIED = {"s3:GetObject": {"s3:GetObjectVersion", "s3:ListBucket"}}


def statements(role: str) -> list[dict[str, Any]]:
    properties = RESOURCES[role]["Properties"]
    assert "ManagedPolicyArns" not in properties, "managed policies allow more than the code needs"
    return [s for policy in properties["Policies"] for s in policy["PolicyDocument"]["Statement"]]


def actions(statement: dict[str, Any]) -> set[str]:
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


def resources_of(role: str, action: str) -> list[Any]:
    found: list[Any] = []
    for statement in statements(role):
        if action in actions(statement):
            resource = statement["Resource"]
            found += resource if isinstance(resource, list) else [resource]
    return found


def calls_in_code(files: Iterable[Path]) -> set[str]:
    """Return the calls of boto3's clients and paginators in source files, as IAM names them."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    texts = {str(one.value) for call in calls for one in call.args if isinstance(one, ast.Constant)}
    methods = texts | {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
    session = botocore.session.get_session()
    return {
        f"{IAM_NAMES.get(service, service)}:{operation}"
        for service in texts.intersection(session.get_available_services())
        for operation in session.get_service_model(service).operation_names
        if botocore.xform_name(operation) in methods
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_functions_role_allows_exactly_the_calls_of_its_code(folder: str) -> None:
    role = RESOURCES[LOGICAL_IDS[folder]]["Properties"]["Role"]["Fn::GetAtt"][0]
    allowed = set().union(*map(actions, statements(role)))
    used = calls_in_code((FUNCTIONS / folder).glob("*.py"))
    implied = set().union(*(IMPLIED.get(action, set()) for action in used))
    assert allowed == used | implied | WRITES_LOGS | WRITES_TRACES


def test_the_workflows_role_allows_exactly_the_calls_of_its_definition() -> None:
    used: set[str] = set()
    for state in definition()["States"].values():
        if state["Type"] == "Task":
            service, call = state["Resource"].removeprefix("arn:aws:states:::").split(":")
            used.add(
                "lambda:InvokeFunction" if service == "lambda" else f"{service}:{call[0].upper()}{call[1:]}"
            )
    allowed = set().union(*map(actions, statements("ClassifyImageWorkflowRole")))
    assert allowed == used | DELIVERS_LOGS | WRITES_TRACES | SAMPLES_TRACES
    for machine in MACHINES.values():
        assert RESOURCES[machine]["Properties"]["Role"] == {
            "Fn::GetAtt": ["ClassifyImageWorkflowRole", "Arn"]
        }


def test_a_batch_may_run_its_children_and_reach_its_runs_only() -> None:
    role = "ClassifyBatchWorkflowRole"
    runs = [{"Fn::Sub": "arn:${AWS::Partition}:s3:::${PhotoBucket}/runs/*"}]
    states = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
    executions = [{"Fn::Sub": states + ":execution:${AWS::StackName}-classify-batch/*"}]
    wanted = {
        "states:StartExecution": [{"Fn::Sub": states + ":stateMachine:${AWS::StackName}-classify-batch"}],
        "states:DescribeExecution": executions,
        "states:StopExecution": executions,
        "states:StartSyncExecution": [{"Ref": "ClassifyImageExpressStateMachine"}],
        **dict.fromkeys(("s3:GetObject", "s3:PutObject"), runs),
        **dict.fromkeys(("s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"), runs),
    }
    allowed = set().union(*map(actions, statements(role))) - DELIVERS_LOGS - WRITES_TRACES - SAMPLES_TRACES
    assert {name: resources_of(role, name) for name in allowed} == wanted
    assert RESOURCES["ClassifyBatchStateMachine"]["Properties"]["Name"] == {
        "Fn::Sub": "${AWS::StackName}-classify-batch"
    }


def test_each_action_is_allowed_on_exactly_its_resource() -> None:
    photos = "arn:${AWS::Partition}:s3:::${PhotoBucket}/incoming/*"
    assert resources_of("SerializeImageRole", "s3:GetObject") == [{"Fn::Sub": photos}]
    assert resources_of("SerializeImageRole", "s3:GetObjectVersion") == [{"Fn::Sub": photos}]
    endpoint = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:endpoint/${EndpointName}"
    assert resources_of("ClassifyImageRole", "sagemaker:InvokeEndpoint") == [{"Fn::Sub": endpoint}]
    workflow = "ClassifyImageWorkflowRole"
    functions = [{"Fn::GetAtt": [name, "Arn"]} for name in LOGICAL_IDS.values()]
    assert resources_of(workflow, "lambda:InvokeFunction") == functions
    for action in ("dynamodb:PutItem", "dynamodb:UpdateItem"):
        assert resources_of(workflow, action) == [{"Fn::GetAtt": ["ResultsTable", "Arn"]}]
    bus = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"
    assert resources_of(workflow, "events:PutEvents") == [{"Fn::Sub": bus}]


def test_serialize_image_may_list_only_to_learn_that_an_object_is_missing() -> None:
    (statement,) = (s for s in statements("SerializeImageRole") if "s3:ListBucket" in actions(s))
    assert statement["Resource"] == {"Fn::Sub": "arn:${AWS::Partition}:s3:::${PhotoBucket}"}
    # A plain StringLike would not match GetObject, whose request has no prefix, and S3 would return 403.
    assert statement["Condition"] == {"StringLikeIfExists": {"s3:prefix": "incoming/*"}}


@pytest.mark.parametrize("folder", FOLDERS)
def test_logs_go_to_the_functions_own_group(folder: str) -> None:
    function = RESOURCES[LOGICAL_IDS[folder]]["Properties"]
    group = function["LoggingConfig"]["LogGroup"]["Ref"]
    role = function["Role"]["Fn::GetAtt"][0]
    for action in WRITES_LOGS:
        assert resources_of(role, action) == [{"Fn::GetAtt": [group, "Arn"]}]


SERVICES = dict.fromkeys(("SerializeImage", "ClassifyImage", "FilterInference"), "lambda")
SERVICES |= dict.fromkeys(("ClassifyImageWorkflow", "ClassifyBatchWorkflow"), "states")
SERVICES |= {"PhotoUploaded": "events"}


@pytest.mark.parametrize(("role", "service"), SERVICES.items())
def test_only_its_own_service_may_assume_a_role(role: str, service: str) -> None:
    (statement,) = RESOURCES[f"{role}Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"


def test_only_actions_without_resource_types_are_allowed_on_all_resources() -> None:
    roles = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::IAM::Role"]
    assert set(roles) == {f"{name}Role" for name in SERVICES}
    for role in roles:
        for statement in statements(role):
            assert statement["Effect"] == "Allow"
            assert not any("*" in action for action in actions(statement))
            if statement["Resource"] == "*":
                assert actions(statement) <= DELIVERS_LOGS | WRITES_TRACES | SAMPLES_TRACES
