"""What `scones doctor` reports of an account and a stack, with AWS's answers stubbed at the client."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.stub import Stubber

from operations import doctor
from operations.checks import Check, Status, UnansweredError, ask, run_checks
from operations.results import ResultsTable
from operations.stack import Stack

ARN = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/scones"
PARAMETERS = {"EndpointName": "scones", "ClassLabels": "bicycle,motorcycle", "FunctionConcurrency": "0"}


# It reads each service model once for all tests.
LOADER = botocore.session.Session().get_component("data_loader")


class StubbedSession(boto3.Session):
    """A session whose clients give prepared answers, validated against AWS's service models."""

    def __init__(self) -> None:
        super().__init__("test", "test", region_name="us-east-1")
        self._session.register_component("data_loader", LOADER)
        self._clients: dict[str, Any] = {}
        self._stubs: dict[str, Stubber] = {}

    def client(self, service_name: str, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        """Return the one stubbed client of a service."""
        if service_name not in self._clients:
            self._clients[service_name] = super().client(service_name)  # type: ignore[call-overload]
            self._stubs[service_name] = Stubber(self._clients[service_name])
            self._stubs[service_name].activate()
        return self._clients[service_name]

    def answer(self, service: str, method: str, answer: dict[str, Any]) -> None:
        """Prepare an answer."""
        self.client(service)
        self._stubs[service].add_response(method, answer)

    def refuse(self, service: str, method: str, code: str, message: str = "no") -> None:
        """Prepare an error."""
        self.client(service)
        self._stubs[service].add_client_error(method, code, message)


@pytest.fixture
def session() -> StubbedSession:
    return StubbedSession()


@pytest.fixture
def stack(session: StubbedSession) -> Stack:
    outputs = {"ReviewQueueUrl": "https://sqs/q", "ReviewDeadLetterQueueUrl": "https://sqs/dead"}
    outputs |= {"ResultsTableName": "results", "PhotoBucketName": "photos"}
    return Stack("scones", outputs, session, PARAMETERS, "CREATE_COMPLETE")


def only(checks: Iterable[Check]) -> Check:
    (check,) = checks
    return check


def test_a_missing_permission_is_named(session: StubbedSession) -> None:
    session.refuse("stepfunctions", "validate_state_machine_definition", "AccessDeniedException")
    with pytest.raises(UnansweredError, match="states:ValidateStateMachineDefinition is missing"):
        ask(session, "stepfunctions", "ValidateStateMachineDefinition", definition="{}")


def test_a_check_that_cannot_be_asked_does_not_end_the_others(session: StubbedSession) -> None:
    def denied() -> Iterable[Check]:
        raise UnansweredError("the permission a:B is missing")

    session.answer("sts", "get_caller_identity", {"Arn": "arn:aws:iam::1:user/a", "Account": "111122223333"})
    checks = run_checks(denied, partial(doctor.identity, session))
    found = {check.name: check.status for check in checks}
    assert found == {"denied": Status.UNKNOWN, "identity": Status.OK}


def test_a_web_page_in_the_place_of_an_answer_is_one_line() -> None:
    def broken() -> Iterable[Check]:
        page = "<!doctype html>\n<html lang=en>\n<h1>Internal Server Error</h1>"
        raise ClientError({"Error": {"Code": "500", "Message": page}}, "ValidatePolicy")

    assert only(run_checks(broken)).detail == "500: an HTML page"


def test_without_credentials_the_identity_is_wrong(
    session: StubbedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: Any, **__: Any) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(session.client("sts"), "get_caller_identity", nobody)
    check = only(doctor.identity(session))
    assert check.status is Status.WRONG
    assert "AWS_PROFILE" in check.advice


@pytest.mark.parametrize(
    ("total", "limit", "expected"),
    [
        (1000, "0", Status.OK),
        (1000, "300", Status.OK),
        (1000, "301", Status.WRONG),  # fewer than 100 would be left
        (10, "0", Status.OK),  # a young account
        (10, "1", Status.WRONG),
    ],
)
def test_reserved_concurrency_must_leave_what_lambda_keeps(
    session: StubbedSession, total: int, limit: str, expected: Status
) -> None:
    found = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": total}
    session.answer("lambda", "get_account_settings", {"AccountLimit": found})
    new = Stack("scones", {}, session, PARAMETERS | {"FunctionConcurrency": limit})
    assert only(doctor.lambda_concurrency(new)).status is expected


def test_quotas_of_the_account_replace_the_defaults_over_pages(session: StubbedSession) -> None:
    def page(values: dict[str, float], token: str = "") -> dict[str, Any]:
        quotas = [{"QuotaName": name, "Value": value} for name, value in values.items()]
        return {"Quotas": quotas} | ({"NextToken": token} if token else {})

    serverless = "Maximum concurrency across all serverless endpoints"
    session.answer(
        "service-quotas",
        "list_aws_default_service_quotas",
        page({"ml.m5.large for endpoint usage": 0, "ml.c5.xlarge for training job usage": 2}, "more"),
    )
    session.answer("service-quotas", "list_aws_default_service_quotas", page({serverless: 4}))
    session.answer("service-quotas", "list_service_quotas", page({"ml.m5.large for endpoint usage": 4}))
    checks = doctor.sagemaker_quotas(session)
    assert [(check.name.removeprefix("quota: "), check.status) for check in checks] == [
        ("ml.m5.large for endpoint usage", Status.OK),
        ("ml.c5.xlarge for training job usage", Status.OK),
        ("ml.c5.xlarge for spot training job usage", Status.UNKNOWN),
        (serverless, Status.WRONG),
    ]


IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/ray:serve-ml-sagemaker-cpu-v1.4"


@pytest.mark.parametrize(
    ("uri", "answer", "status"),
    [
        (IMAGE, {"images": [{"imageId": {"imageTag": "x"}}]}, Status.OK),
        (IMAGE, {"images": [], "failures": [{"failureReason": "Requested image not found"}]}, Status.WRONG),
        ("ghcr.io/a/b:c", {}, Status.UNKNOWN),
    ],
)
def test_an_images_tag_is_looked_up(
    session: StubbedSession, uri: str, answer: dict[str, Any], status: Status
) -> None:
    session.answer("ecr", "batch_get_image", answer)
    check = doctor.image_exists(session, "serving", uri)
    assert check.status is status
    assert ("Requested image not found" in check.detail) is (status is Status.WRONG)


def endpoint(status: str = "InService", **more: Any) -> dict[str, Any]:
    times = dict.fromkeys(("CreationTime", "LastModifiedTime"), "2026-11-25")
    names = {"EndpointName": "scones", "EndpointArn": ARN, "EndpointConfigName": "scones-1"}
    return {**names, "EndpointStatus": status, **times, **more}


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ([{"Key": "scones:labels", "Value": "bicycle motorcycle"}], Status.OK),
        ([{"Key": "scones:labels", "Value": "wheel house"}], Status.WRONG),
        ([{"Key": "scones:labels", "Value": "motorcycle bicycle"}], Status.WRONG),  # the order counts
        ([], Status.UNKNOWN),
    ],
)
def test_the_endpoints_labels_are_compared_with_the_stacks(
    session: StubbedSession, stack: Stack, tags: list[dict[str, str]], status: Status
) -> None:
    session.answer("sagemaker", "describe_endpoint", endpoint())
    session.answer("sagemaker", "list_tags", {"Tags": tags})
    in_service, labels = doctor.endpoint_fits(stack)
    assert in_service.status is Status.OK
    assert labels.status is status


def test_an_endpoint_that_is_not_in_service_is_wrong(session: StubbedSession, stack: Stack) -> None:
    session.answer("sagemaker", "describe_endpoint", endpoint("Failed", FailureReason="no such image"))
    check = only(doctor.endpoint_fits(stack))
    assert (check.status, check.detail) == (Status.WRONG, "Failed: no such image")
    session.refuse("sagemaker", "describe_endpoint", "ValidationException", "Could not find endpoint")
    check = only(doctor.endpoint_fits(stack))
    assert check.status is Status.WRONG
    assert "scones model deploy --endpoint-name scones" in check.advice


@pytest.mark.parametrize(
    ("name", "stack_status", "status"),
    [
        *(("scones", status, Status.OK) for status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")),
        *(("scones", status, Status.WRONG) for status in ("ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")),
        ("scones", "", Status.OK),  # not deployed yet
        ("s" * 65, "", Status.OK),
        ("s" * 66, "", Status.WRONG),
    ],
)
def test_a_stack_is_ok_if_it_can_be_deployed_or_was(
    session: StubbedSession, name: str, stack_status: str, status: Status
) -> None:
    assert only(doctor.stack_is_complete(Stack(name, {}, session, status=stack_status))).status is status


def test_before_the_first_deployment_the_templates_defaults_are_checked(session: StubbedSession) -> None:
    session.refuse("cloudformation", "describe_stacks", "ValidationError")
    found = doctor.look_up("scones", session)
    assert (found.status, found.outputs) == ("", {})
    assert found.parameters["EndpointName"] == "scones-vehicle-classifier"


@pytest.mark.parametrize(
    ("policies", "stack_status", "status"),
    [
        (["scones-outcomes"], "CREATE_COMPLETE", Status.OK),
        (["another"], "CREATE_COMPLETE", Status.WRONG),
        ([str(n) for n in range(9)], "", Status.OK),
        ([str(n) for n in range(10)], "", Status.WRONG),  # the deployment would fail
    ],
)
def test_a_stack_needs_one_of_the_accounts_ten_log_policies(
    session: StubbedSession, stack: Stack, policies: list[str], stack_status: str, status: Status
) -> None:
    answer = {"resourcePolicies": [{"policyName": name} for name in policies]}
    session.answer("logs", "describe_resource_policies", answer)
    assert only(doctor.log_policies(replace(stack, status=stack_status))).status is status


@pytest.mark.parametrize(("state", "status"), [("ENABLED", Status.OK), ("DISABLED", Status.WRONG)])
def test_a_rule_that_is_disabled_is_named(
    session: StubbedSession, stack: Stack, state: str, status: Status
) -> None:
    rule = {"LogicalResourceId": "OutcomeRule", "PhysicalResourceId": "scones-OutcomeRule-1"}
    more = {
        "ResourceType": "AWS::Events::Rule",
        "ResourceStatus": "CREATE_COMPLETE",
        "LastUpdatedTimestamp": "2026-11-25",
    }
    session.answer("cloudformation", "list_stack_resources", {"StackResourceSummaries": [rule | more]})
    session.answer("events", "describe_rule", {"Name": "scones-OutcomeRule-1", "State": state})
    check = only(doctor.rules_are_enabled(stack))
    assert check.status is status
    assert (check.name == "OutcomeRule") is (status is Status.WRONG)


@pytest.mark.parametrize(("records", "status"), [(3, Status.OK), (4, Status.WRONG)])
def test_doubtful_photos_that_are_not_on_the_queue_are_counted(
    session: StubbedSession,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    records: int,
    status: Status,
) -> None:
    for waiting, held in (("1", "1"), ("1", "0")):
        counts = {"ApproximateNumberOfMessages": waiting, "ApproximateNumberOfMessagesNotVisible": held}
        session.answer("sqs", "get_queue_attributes", {"Attributes": counts})
    monkeypatch.setattr(ResultsTable, "count", lambda *_: records)
    check = only(doctor.doubtful_photos_wait(stack))
    assert (check.status, check.detail) == (
        status, f"{records} LOW_CONFIDENCE records of 13 days, 3 messages"
    )  # fmt: skip


@pytest.mark.parametrize(("bucket", "status"), [("photos", Status.OK), ("former", Status.WRONG)])
def test_records_of_a_former_bucket_are_named(
    session: StubbedSession, stack: Stack, bucket: str, status: Status
) -> None:
    found = {} if bucket == "photos" else {"object_uri": {"S": f"s3://{bucket}/incoming/a.jpg"}}
    session.answer("dynamodb", "scan", {"Items": [found] if found else []})
    check = only(doctor.records_are_of_the_bucket(stack))
    assert (check.status, bucket in check.detail) == (status, True)
