"""What `scones doctor` reports of an account and a stack, with AWS's answers stubbed at the client."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.stub import Stubber

from operations import doctor
from operations.checks import Check, Status, UnansweredError, ask, run_checks
from operations.results import ResultsTable
from operations.stack import Stack

ARN = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/scones"
PARAMETERS = {"EndpointName": "scones", "ClassLabels": "bicycle,motorcycle", "FunctionConcurrency": "0"}
OUTPUTS = {"ReviewQueueUrl": "https://sqs/q", "ReviewDeadLetterQueueUrl": "https://sqs/dead"}
OUTPUTS |= {"ResultsTableName": "results", "PhotoBucketName": "photos"}
OK, WRONG, UNKNOWN = Status.OK, Status.WRONG, Status.UNKNOWN


class StubbedSession(boto3.Session):
    """A session whose clients give prepared answers, validated against AWS's service models."""

    def __init__(self) -> None:
        super().__init__("test", "test", region_name="us-east-1")
        self._stubs: dict[str, Stubber] = {}

    def client(self, service_name: str, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        """Return the one stubbed client of a service."""
        if service_name not in self._stubs:
            self._stubs[service_name] = Stubber(super().client(service_name))  # type: ignore[call-overload]
            self._stubs[service_name].activate()
        return self._stubs[service_name].client

    def answer(self, call: str, answer: dict[str, Any] | str) -> None:
        """Prepare an answer to a call such as `sqs.get_queue_attributes`; as text, the code of an error."""
        service, method = call.split(".")
        self.client(service)
        if isinstance(answer, str):
            self._stubs[service].add_client_error(method, answer, "no")
        else:
            self._stubs[service].add_response(method, answer)


@pytest.fixture
def session() -> StubbedSession:
    return StubbedSession()


@pytest.fixture
def stack(session: StubbedSession) -> Stack:
    return Stack("scones", OUTPUTS, session, PARAMETERS, "CREATE_COMPLETE")


def test_a_missing_permission_is_named(session: StubbedSession) -> None:
    session.answer("stepfunctions.validate_state_machine_definition", "AccessDeniedException")
    with pytest.raises(UnansweredError, match="states:ValidateStateMachineDefinition is missing"):
        ask(session, "stepfunctions", "ValidateStateMachineDefinition", definition="{}")


def test_a_check_that_cannot_be_asked_is_a_line_and_does_not_end_the_others() -> None:
    def denied() -> Iterable[Check]:
        raise UnansweredError("the permission a:B is missing")

    def broken() -> Iterable[Check]:
        page = "<!doctype html>\n<html lang=en>\n<h1>Internal Server Error</h1>"
        raise ClientError({"Error": {"Code": "500", "Message": page}}, "ValidatePolicy")

    found = [(check.name, check.status, check.detail) for check in run_checks(denied, broken)]
    missing = ("denied", UNKNOWN, "the permission a:B is missing")
    assert found == [missing, ("broken", UNKNOWN, "500: an HTML page")]


def test_without_credentials_the_identity_is_wrong(
    session: StubbedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: Any, **__: Any) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(session.client("sts"), "get_caller_identity", nobody)
    (check,) = doctor.identity(session)
    assert check.status is WRONG
    assert "AWS_PROFILE" in check.advice


def test_quotas_of_the_account_replace_the_defaults_over_pages(session: StubbedSession) -> None:
    def page(values: dict[str, float], token: str = "") -> dict[str, Any]:
        quotas = [{"QuotaName": name, "Value": value} for name, value in values.items()]
        return {"Quotas": quotas} | ({"NextToken": token} if token else {})

    serverless = "Maximum concurrency across all serverless endpoints"
    provisioned = "Maximum total provisioned concurrency across all serverless endpoints"
    defaults, own = "service-quotas.list_aws_default_service_quotas", "service-quotas.list_service_quotas"
    first: dict[str, float] = {"ml.m5.large for endpoint usage": 0, "ml.c5.xlarge for training job usage": 2}
    session.answer(defaults, page(first, "more"))
    session.answer(defaults, page({provisioned: 10, serverless: 4}))
    session.answer(own, page({"ml.m5.large for endpoint usage": 4}))
    checks = doctor.sagemaker_quotas(session)
    assert [(check.name.removeprefix("quota: "), check.status) for check in checks] == [
        ("ml.m5.large for endpoint usage", OK),
        ("ml.c5.xlarge for training job usage", OK),
        ("ml.c5.xlarge for spot training job usage", UNKNOWN),
        (serverless, WRONG),
    ]


def test_the_images_tags_are_looked_up(session: StubbedSession) -> None:
    session.answer("ecr.batch_get_image", {"images": [{"imageId": {"imageTag": "x"}}]})
    failures = [{"failureReason": "Requested image not found"}]
    session.answer("ecr.batch_get_image", {"images": [], "failures": failures})
    serving, training = doctor.images(session)
    assert (serving.status, training.status) == (OK, WRONG)
    assert "763104351884.dkr.ecr.us-east-1.amazonaws.com/" in serving.detail
    assert "Requested image not found" in training.detail
    session.answer("ecr.batch_get_image", "RepositoryNotFoundException")
    session.answer("ecr.batch_get_image", {"images": [{"imageId": {"imageTag": "x"}}]})
    checks = [(check.name, check.status) for check in doctor.images(session)]
    assert checks == [("serving image", UNKNOWN), ("training image", OK)]


def endpoint(status: str = "InService", **more: Any) -> tuple[str, dict[str, Any]]:
    times = dict.fromkeys(("CreationTime", "LastModifiedTime"), "2026-11-25")
    names = {"EndpointName": "scones", "EndpointArn": ARN, "EndpointConfigName": "scones-1"}
    return "sagemaker.describe_endpoint", {**names, "EndpointStatus": status, **times, **more}


def tags(*labels: str) -> tuple[str, dict[str, Any]]:
    return "sagemaker.list_tags", {"Tags": [{"Key": "scones:labels", "Value": value} for value in labels]}


def limits(total: int) -> tuple[str, dict[str, Any]]:
    found = dict.fromkeys(("ConcurrentExecutions", "UnreservedConcurrentExecutions"), total)
    return "lambda.get_account_settings", {"AccountLimit": found}


def policies(*names: str) -> tuple[str, dict[str, Any]]:
    found = [{"policyName": name} for name in names]
    return "logs.describe_resource_policies", {"resourcePolicies": found}


def reserved(count: str) -> dict[str, Any]:
    return {"status": "", "parameters": PARAMETERS | {"FunctionConcurrency": count}}


def bucket(*names: str) -> tuple[str, dict[str, Any]]:
    found = [{"object_uri": {"S": f"s3://{name}/incoming/a.jpg"}} for name in names]
    return "dynamodb.scan", {"Items": found}


NEW = {"status": ""}
FIT, CONCURRENCY = doctor.endpoint_fits, doctor.lambda_concurrency
COMPLETE, BUCKET = doctor.stack_is_complete, doctor.records_are_of_the_bucket


@pytest.mark.parametrize(
    ("check", "stack_is", "answers", "expected"),  # statuses, and a part of the last one's detail or advice
    [
        (FIT, {}, [endpoint(), tags("bicycle motorcycle")], ([OK, OK], "bicycle,motorcycle")),
        (FIT, {}, [endpoint(), tags("wheel house")], ([OK, WRONG], "ClassLabels=wheel,house")),
        (FIT, {}, [endpoint(), tags("motorcycle bicycle")], ([OK, WRONG], "motorcycle,bicycle")),  # the order
        (FIT, {}, [endpoint(), tags()], ([OK, UNKNOWN], "another tool deployed it")),
        (FIT, {}, [endpoint("Failed", FailureReason="no image")], ([WRONG], "Failed: no image")),
        (
            *(FIT, {}, [("sagemaker.describe_endpoint", "ValidationException")]),
            ([WRONG], "scones model deploy --endpoint-name scones"),
        ),
        (CONCURRENCY, reserved("0"), [limits(1000)], ([OK], "900 of them can be reserved")),
        (CONCURRENCY, reserved("300"), [limits(1000)], ([OK], "900 of them can be reserved")),
        (CONCURRENCY, reserved("301"), [limits(1000)], ([WRONG], "would reserve 903")),
        (CONCURRENCY, reserved("0"), [limits(10)], ([OK], " 0 of them can be reserved")),  # a young account
        (CONCURRENCY, reserved("1"), [limits(10)], ([WRONG], "would reserve 3")),
        (COMPLETE, {}, [], ([OK], "CREATE_COMPLETE")),
        (COMPLETE, {"status": "UPDATE_COMPLETE"}, [], ([OK], "UPDATE_COMPLETE")),
        (COMPLETE, {"status": "ROLLBACK_COMPLETE"}, [], ([WRONG], "sam delete --stack-name scones")),
        (COMPLETE, {"status": "UPDATE_ROLLBACK_COMPLETE"}, [], ([WRONG], "events in CloudFormation")),
        (COMPLETE, NEW, [], ([OK], "does not exist yet")),
        (COMPLETE, {"name": "s" * 65, "status": ""}, [], ([OK], "does not exist yet")),
        (COMPLETE, {"name": "s" * 66, "status": ""}, [], ([WRONG], "65 at most")),
        (doctor.log_policies, {}, [policies("scones-outcomes")], ([OK], "1 of 10")),
        (doctor.log_policies, {}, [policies("another")], ([WRONG], "scones-outcomes is missing")),
        (doctor.log_policies, NEW, [policies(*"012345678")], ([OK], "9 of 10")),
        (doctor.log_policies, NEW, [policies(*"0123456789")], ([WRONG], "cannot add its own")),
        (BUCKET, {}, [bucket()], ([OK], "photos")),
        (BUCKET, {}, [bucket("former")], ([WRONG], "photos in former, ")),
    ],
)
def test_a_stack_is_checked(
    stack: Stack,
    check: Any,
    stack_is: dict[str, Any],
    answers: list[tuple[str, dict[str, Any] | str]],
    expected: tuple[list[Status], str],
) -> None:
    session: Any = stack.session
    for answer in answers:
        session.answer(*answer)
    found = list(check(replace(stack, **stack_is)))
    statuses, part = expected
    assert [one.status for one in found] == statuses
    assert part in f"{found[-1].detail} {found[-1].advice}"


def test_before_the_first_deployment_the_templates_defaults_are_checked(session: StubbedSession) -> None:
    session.answer("cloudformation.describe_stacks", "ValidationError")
    found = doctor.look_up("scones", session)
    assert (found.status, found.outputs) == ("", {})
    assert found.parameters["EndpointName"] == "scones-vehicle-classifier"


@pytest.mark.parametrize(("records", "status"), [(3, OK), (4, WRONG)])
def test_doubtful_photos_that_are_not_on_the_queue_are_counted(
    session: StubbedSession, stack: Stack, monkeypatch: pytest.MonkeyPatch, records: int, status: Status
) -> None:
    for waiting, held in (("1", "1"), ("1", "0")):
        counts = {"ApproximateNumberOfMessages": waiting, "ApproximateNumberOfMessagesNotVisible": held}
        session.answer("sqs.get_queue_attributes", {"Attributes": counts})
    monkeypatch.setattr(ResultsTable, "count", lambda *_: records)
    (check,) = doctor.doubtful_photos_wait(stack)
    assert check.status is status
    assert check.detail == f"{records} LOW_CONFIDENCE records of 13 days, 3 messages"
