"""What `operations doctor` says of an account, with AWS's answers stubbed at the client."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.stub import Stubber

from commandline.errors import UsageError
from operations.checks import Check, Status, UnansweredError, ask, run_checks
from operations.doctor import account, application, deployment
from operations.doctor.report import examine
from operations.doctor.template import Template

ROOT = Path(__file__).resolve().parents[4]
ARN = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/scones"
PARAMETERS = {"EndpointName": "scones", "ClassLabels": "bicycle,motorcycle"}


LOADER = botocore.session.Session().get_component(
    "data_loader"
)  # reads each service model once for all tests


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
    checks = list(run_checks([("one", denied), ("two", lambda: account.identity(session))]))
    assert [(check.name, check.status) for check in checks] == [
        ("one", Status.UNKNOWN),
        ("identity", Status.OK),
    ]


def test_a_web_page_in_the_place_of_an_answer_is_one_line() -> None:
    def broken() -> Iterable[Check]:
        page = "<!doctype html>\n<html lang=en>\n<h1>Internal Server Error</h1>"
        raise ClientError({"Error": {"Code": "500", "Message": page}}, "ValidatePolicy")

    assert only(run_checks([("policies", broken)])).detail == "500: an HTML page"


def test_without_credentials_the_identity_is_wrong(
    session: StubbedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: Any, **__: Any) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(session.client("sts"), "get_caller_identity", nobody)
    check = only(account.identity(session))
    assert check.status is Status.WRONG
    assert "AWS_PROFILE" in check.advice


@pytest.mark.parametrize(
    ("total", "unreserved", "wanted", "status"),
    [
        (1000, 1000, 0, Status.OK),
        (1000, 1000, 900, Status.OK),
        (1000, 1000, 901, Status.WRONG),  # fewer than 100 would be left
        (10, 10, 0, Status.OK),  # a young account
        (10, 10, 1, Status.WRONG),
    ],
)
def test_reserved_concurrency_must_leave_what_lambda_keeps(
    session: StubbedSession, total: int, unreserved: int, wanted: int, status: Status
) -> None:
    limit = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": unreserved}
    session.answer("lambda", "get_account_settings", {"AccountLimit": limit})
    assert only(account.lambda_concurrency(session, wanted)).status is status


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
    session.answer("service-quotas", "list_aws_default_service_quotas", page({serverless: 10}))
    session.answer("service-quotas", "list_service_quotas", page({"ml.m5.large for endpoint usage": 4}))
    checks = account.sagemaker_quotas(
        session, endpoint_type="ml.m5.large", training_type="ml.c5.xlarge", serverless_concurrency=11
    )
    assert [(check.name.removeprefix("quota: "), check.status) for check in checks] == [
        ("ml.m5.large for endpoint usage", Status.OK),
        ("ml.c5.xlarge for training job usage", Status.OK),
        ("ml.c5.xlarge for spot training job usage", Status.UNKNOWN),
        (serverless, Status.WRONG),
    ]


IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/ray:serve-ml-sagemaker-cpu-v1.4"


def test_an_image_tag_that_exists_is_ok(session: StubbedSession) -> None:
    session.answer("ecr", "batch_get_image", {"images": [{"imageId": {"imageTag": "x"}}]})
    assert only(deployment.image_exists(session, "serving", IMAGE)).status is Status.OK


def test_an_image_tag_that_does_not_exist_is_wrong(session: StubbedSession) -> None:
    failure = {"failureCode": "ImageNotFound", "failureReason": "Requested image not found"}
    session.answer("ecr", "batch_get_image", {"images": [], "failures": [failure]})
    check = only(deployment.image_exists(session, "serving", IMAGE))
    assert check.status is Status.WRONG
    assert "Requested image not found" in check.detail


def test_an_image_elsewhere_cannot_be_asked_for(session: StubbedSession) -> None:
    assert only(deployment.image_exists(session, "serving", "ghcr.io/a/b:c")).status is Status.UNKNOWN


def endpoint(status: str = "InService", **more: Any) -> dict[str, Any]:
    times = dict.fromkeys(("CreationTime", "LastModifiedTime"), "2026-11-25")
    return {
        "EndpointName": "scones",
        "EndpointArn": ARN,
        "EndpointConfigName": "scones-1",
        "EndpointStatus": status,
        **times,
        **more,
    }


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
    session: StubbedSession, tags: list[dict[str, str]], status: Status
) -> None:
    session.answer("sagemaker", "describe_endpoint", endpoint())
    session.answer("sagemaker", "list_tags", {"Tags": tags})
    in_service, labels = deployment.endpoint_fits(session, PARAMETERS)
    assert in_service.status is Status.OK
    assert labels.status is status


def test_a_failed_endpoint_is_told_with_its_reason(session: StubbedSession) -> None:
    session.answer("sagemaker", "describe_endpoint", endpoint("Failed", FailureReason="no such image"))
    check = only(deployment.endpoint_fits(session, PARAMETERS))
    assert (check.status, check.detail) == (Status.WRONG, "Failed: no such image")


def test_an_endpoint_that_does_not_exist_is_told_with_the_command_that_creates_it(
    session: StubbedSession,
) -> None:
    session.refuse("sagemaker", "describe_endpoint", "ValidationException", "Could not find endpoint")
    check = only(deployment.endpoint_fits(session, PARAMETERS))
    assert check.status is Status.WRONG
    assert "model_build deploy --endpoint-name scones" in check.advice


@pytest.mark.parametrize(
    ("stack_status", "status"),
    [
        ("CREATE_COMPLETE", Status.OK),
        ("UPDATE_COMPLETE", Status.OK),
        ("ROLLBACK_COMPLETE", Status.WRONG),
        ("UPDATE_ROLLBACK_COMPLETE", Status.WRONG),
    ],
)
def test_a_stack_is_ok_if_its_last_deployment_succeeded(stack_status: str, status: Status) -> None:
    assert only(deployment.stack_is_complete({"StackStatus": stack_status}, "scones")).status is status


def test_a_stack_that_does_not_exist_yet_is_no_error(session: StubbedSession) -> None:
    session.refuse("cloudformation", "describe_stacks", "ValidationError")
    assert deployment.find_stack(session, "scones") is None
    assert only(deployment.stack_is_complete(None, "scones")).status is Status.OK


@pytest.mark.parametrize(("result", "status"), [("OK", Status.OK), ("FAIL", Status.WRONG)])
def test_definitions_are_validated_as_both_types(
    session: StubbedSession, result: str, status: Status
) -> None:
    diagnostics = [{"severity": "ERROR", "code": "X", "message": "bad field", "location": "/States/A"}]
    template = Template(ROOT / "template.yaml", "us-east-1")
    count = sum(1 if '"DISTRIBUTED"' in text else 2 for _, text in template.definitions())
    for _ in range(count):
        answer = {"result": result, "diagnostics": diagnostics if result == "FAIL" else []}
        session.answer("stepfunctions", "validate_state_machine_definition", answer)
    checks = list(application.definitions_are_valid(session, template))
    assert {check.status for check in checks} == {status}
    assert {"ClassifyImageStateMachine as STANDARD", "ClassifyImageStateMachine as EXPRESS"} <= {
        check.name for check in checks
    }
    assert (status is Status.OK) or "/States/A bad field" in checks[0].detail


@pytest.mark.parametrize(
    ("kind", "status"),
    [("ERROR", Status.WRONG), ("SECURITY_WARNING", Status.WRONG), ("SUGGESTION", Status.OK)],
)
def test_findings_of_access_analyzer_are_errors_or_remarks(
    session: StubbedSession, kind: str, status: Status, tmp_path: Path
) -> None:
    path = tmp_path / "role.yaml"
    path.write_text(json.dumps({"Resources": {"R": role([{"Effect": "Allow", "Action": "s3:*"}])}}))
    finding = {
        "findingDetails": "too much",
        "findingType": kind,
        "issueCode": "BROAD",
        "learnMoreLink": "https://docs.aws.amazon.com/x",
        "locations": [],
    }
    session.answer("accessanalyzer", "validate_policy", {"findings": [finding]})
    check = only(application.policies_are_valid(session, Template(path, "us-east-1")))
    assert (check.name, check.status) == ("policy R/P", status)


def role(statements: list[dict[str, Any]]) -> dict[str, Any]:
    policies = [{"PolicyName": "P", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}]
    return {"Type": "AWS::IAM::Role", "Properties": {"Policies": policies}}


def test_a_template_larger_than_the_api_takes_is_not_sent(session: StubbedSession, tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text(f"Description: {'x' * 60_000}")
    assert only(application.template_is_valid(session, path)).status is Status.WRONG


def test_a_template_that_is_large_by_its_comments_is_sent_without_them(
    session: StubbedSession, tmp_path: Path
) -> None:
    path = tmp_path / "commented.yaml"
    path.write_text(f"Description: short # {'x' * 60_000}")
    session.answer("cloudformation", "validate_template", {})
    assert only(application.template_is_valid(session, path)).status is Status.OK


def test_a_template_that_cloudformation_refuses_is_wrong(session: StubbedSession) -> None:
    session.refuse("cloudformation", "validate_template", "ValidationError", "Unresolved resource X")
    check = only(application.template_is_valid(session, ROOT / "template.yaml"))
    assert (check.status, check.detail) == (Status.WRONG, "Unresolved resource X")


# ------------------------------------------------------------------ the template's intrinsic functions


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ({"Ref": "Name"}, "given"),
        ({"Ref": "Bucket"}, "bucket"),
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:aws:s3:::bucket"),
        ({"Fn::GetAtt": "Bucket.Arn"}, "arn:aws:s3:::bucket"),
        ({"Fn::Sub": "${Bucket.Arn}/${Name}/${!literal}"}, "arn:aws:s3:::bucket/given/${!literal}"),
        ({"Fn::Sub": ["${A}-${Name}", {"A": {"Ref": "AWS::Partition"}}]}, "aws-given"),
        ({"Fn::If": ["IsGiven", "yes", "no"]}, "yes"),
        ({"Fn::If": ["IsEmpty", "yes", "no"]}, "no"),
        ([1, {"Fn::If": ["IsEmpty", 2, {"Ref": "AWS::NoValue"}]}], [1]),
        ({"a": {"Ref": "AWS::NoValue"}, "b": 1}, {"b": 1}),
        ({"Fn::Join": ["-", ["a", {"Ref": "Name"}]]}, "a-given"),
    ],
)
def test_intrinsic_functions_are_resolved(tmp_path: Path, value: Any, resolved: Any) -> None:
    path = tmp_path / "template.json"
    content = {
        "Parameters": {"Name": {"Type": "String", "Default": "default"}},
        "Conditions": {
            "IsEmpty": {"Fn::Equals": [{"Ref": "Name"}, ""]},
            "IsGiven": {"Fn::Not": [{"Condition": "IsEmpty"}]},
        },
        "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
    }
    path.write_text(json.dumps(content))
    assert Template(path, "eu-west-1", {"Name": "given"}).resolve(value) == resolved


@pytest.mark.parametrize("name", ["template.yaml", "model_build/role.yaml"])
def test_nothing_of_our_templates_stays_unresolved(name: str) -> None:
    template = Template(ROOT / name, "us-east-1")
    policies = list(template.policies())
    assert policies
    shown = json.dumps([policy.document for policy in policies]) + "".join(
        t for _, t in template.definitions()
    )
    assert "Fn::" not in shown
    assert '"Ref"' not in shown
    assert "${" not in shown


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path.write_text("a: 1") and path])
def test_what_is_not_a_template_is_refused(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = tmp_path / "template.yaml"
    make(path)
    with pytest.raises(UsageError, match="template"):
        Template(path, "us-east-1")


NOT_TEMPLATES = {
    "broken YAML": b"Resources:\n  A: [unclosed",
    "a tab": b"Resources:\n\tA: 1",
    "binary": b"mu\xf1^\x00\xff",
    "Latin-1": "Description: für\nResources: {}".encode("latin-1"),
    "empty": b"",
    "resources as a list": b"Resources: []",
    "a resource without a type": b"Resources: {A: {Properties: {}}}",
    "a resource that is a text": b"Resources: {A: hello}",
    "properties that are a text": b"Resources: {A: {Type: AWS::S3::Bucket, Properties: x}}",
    "parameters as a list": b"Resources: {}\nParameters: []",
    "a parameter that is a text": b"Resources: {}\nParameters: {A: x}",
}


@pytest.mark.parametrize("content", NOT_TEMPLATES.values(), ids=NOT_TEMPLATES)
def test_a_broken_template_is_a_wrong_check_among_the_others(
    session: StubbedSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise UnansweredError("not asked here")

    for module in (account, application, deployment):
        monkeypatch.setattr(module, "ask", denied)
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    checks = list(examine(session, "scones", path))
    (check,) = [one for one in checks if one.name == "template broken.yaml"]
    assert check.status is Status.WRONG
    assert "\n" not in check.detail
    assert check.advice == f"correct {path}"
    assert any(one.name == "SageMaker quotas" for one in checks)


def test_a_template_without_our_parameters_is_a_wrong_check_of_the_endpoint(
    session: StubbedSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise UnansweredError("not asked here")

    for module in (account, application, deployment):
        monkeypatch.setattr(module, "ask", denied)
    path = tmp_path / "other.yaml"
    path.write_text("Resources: {}")
    (check,) = [one for one in examine(session, "scones", path) if one.name == "endpoint"]
    assert check.status is Status.WRONG
    assert "EndpointName" in check.detail


def machine(properties: dict[str, Any]) -> dict[str, Any]:
    return {"Resources": {"M": {"Type": "AWS::Serverless::StateMachine", "Properties": properties}}}


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"DefinitionUri": "none.asl.json"}, "No such file"),
        ({"DefinitionUri": "cut.asl.json"}, "not JSON"),
        ({"DefinitionUri": "list.asl.json"}, "not a JSON object"),
        ({"DefinitionUri": "binary.asl.json"}, "not UTF-8"),
        ({"DefinitionUri": {"Bucket": "b", "Key": "k"}}, "no definition here"),
        ({}, "no definition here"),
        ({"Definition": {}, "DefinitionSubstitutions": {"a": {"Ref": "Nope"}}}, "Ref Nope"),
    ],
)
def test_a_definition_that_cannot_be_read_is_wrong_before_anybody_is_asked(
    session: StubbedSession, tmp_path: Path, properties: dict[str, Any], told: str
) -> None:
    (tmp_path / "cut.asl.json").write_text('{"StartAt": "A", "States": {')
    (tmp_path / "list.asl.json").write_text("[]")
    (tmp_path / "binary.asl.json").write_bytes(b"\xff\x00")
    path = tmp_path / "template.yaml"
    path.write_text(json.dumps(machine(properties)))
    check = only(application.definitions_are_valid(session, Template(path, "us-east-1")))
    assert (check.name, check.status) == ("M", Status.WRONG)
    assert told in check.detail


def test_a_definition_in_the_template_is_validated(session: StubbedSession, tmp_path: Path) -> None:
    for _ in range(2):
        answer = {"result": "OK", "diagnostics": []}
        session.answer("stepfunctions", "validate_state_machine_definition", answer)
    path = tmp_path / "template.yaml"
    path.write_text(
        json.dumps(machine({"Definition": {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}}))
    )
    checks = list(application.definitions_are_valid(session, Template(path, "us-east-1")))
    assert [check.status for check in checks] == [Status.OK, Status.OK]


@pytest.mark.parametrize(
    "policies",
    [
        [{"PolicyName": "P", "PolicyDocument": {"Statement": [{"Resource": {"Ref": "Nope"}}]}}],
        [{"PolicyName": "P", "PolicyDocument": {"Statement": [{"Resource": {"Fn::If": ["Nope", 1, 2]}}]}}],
        [{"PolicyName": "P", "PolicyDocument": {"Statement": [{"Resource": {"Fn::Sub": 5}}]}}],
        [{"PolicyName": "P"}],
        ["text"],
    ],
)
def test_a_policy_that_cannot_be_resolved_is_wrong_and_does_not_end_the_others(
    session: StubbedSession, tmp_path: Path, policies: list[Any]
) -> None:
    session.answer("accessanalyzer", "validate_policy", {"findings": []})
    broken = {"Type": "AWS::IAM::Role", "Properties": {"Policies": policies}}
    path = tmp_path / "template.yaml"
    path.write_text(json.dumps({"Resources": {"Broken": broken, "Good": role([])}}))
    checks = list(application.policies_are_valid(session, Template(path, "us-east-1")))
    assert [(check.name, check.status) for check in checks] == [
        ("policy Broken", Status.WRONG),
        ("policy Good/P", Status.OK),
    ]
