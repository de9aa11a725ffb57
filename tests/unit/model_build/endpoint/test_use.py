"""`model use` and `model rollback`: which model, and the steps to it, against moto."""

import json
from typing import Any

import boto3
import pytest

from model_build.__main__ import main
from model_build.endpoint.found import FACTS, look, model_named, previous_model
from model_build.errors import RefusedError

A, B = "scones-20261120-080000-000", "scones-20261123-101500-042"
ROLE = "arn:aws:iam::123456789012:role/scones-model"


def add(session: boto3.Session, config: str, model: str, **facts: Any) -> None:
    """Add a configuration, and its model if it is new."""
    sagemaker, key = session.client("sagemaker"), f"models/{model}/model.tar.gz"
    if config == model:
        metadata = {FACTS: json.dumps(facts)}
        session.client("s3").put_object(Bucket="scones-models", Key=key, Metadata=metadata)
        sagemaker.create_model(
            ModelName=model,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": "example.com/serving:1", "ModelDataUrl": f"s3://scones-models/{key}"},
        )
    variant: Any = {"VariantName": "AllTraffic", "ModelName": model, "InstanceType": "ml.m5.large"}
    variant["InitialInstanceCount"] = 2 if config == B else 1
    sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])


@pytest.fixture
def session(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    """Let an endpoint serve B, which was A before."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    place: Any = {"LocationConstraint": "eu-west-1"}
    session.client("s3").create_bucket(Bucket="scones-models", CreateBucketConfiguration=place)
    add(session, A, A, labels=["red", "blue"])
    add(session, B, B, labels=["blue", "red"])
    session.client("sagemaker").create_endpoint(EndpointName="scones", EndpointConfigName=B)
    return session


def dry_run(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, Any]:
    """Return the parameters of the calls that a command would make, by operation."""
    assert main([*command, "--endpoint-name", "scones", "--dry-run"]) == 0
    return {call["operation"]: call["parameters"] for call in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("command", [["use", A], ["use", "20261120"], ["rollback"]])
def test_the_model_before_answers_with_the_settings_of_now(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    del session
    calls = dry_run(capsys, *command)

    config = calls["CreateEndpointConfig"]
    (variant,) = config["ProductionVariants"]
    assert (variant["ModelName"], variant["InitialInstanceCount"]) == (A, 2)
    assert calls["UpdateEndpoint"]["EndpointConfigName"] == config["EndpointConfigName"] not in {A, B}
    assert not {"PutObject", "CreateModel"} & set(calls)
    assert calls["AddTags"]["Tags"] == [{"Key": "scones:labels", "Value": "red blue"}]


def test_what_serves_already_only_gets_what_an_interruption_left_out(
    session: boto3.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    template = {
        "Parameters": {
            name: {"Type": "String", "Default": value}
            for name, value in {"EndpointName": "scones", "ClassLabels": "red,blue"}.items()
        },
        "Resources": {"T": {"Type": "AWS::SNS::Topic"}},
    }
    session.client("cloudformation").create_stack(StackName="scones", TemplateBody=json.dumps(template))

    assert list(dry_run(capsys, "use", B)) == ["AddTags", "UpdateStack"]
    assert list(dry_run(capsys, "use", B, "--application", "")) == ["AddTags"]
    assert main(["use", B, "--endpoint-name", "scones"]) == 2, "a script must say --yes"
    assert "changes ClassLabels from red,blue to blue,red in the stack scones" in capsys.readouterr().err


def test_a_second_rollback_goes_back_and_the_first_model_has_none_before(session: boto3.Session) -> None:
    add(session, "scones-20261124-090000-000", A)
    for config, before in (("scones-20261124-090000-000", B), (B, A)):
        session.client("sagemaker").delete_endpoint(EndpointName="scones")
        session.client("sagemaker").create_endpoint(EndpointName="scones", EndpointConfigName=config)
        assert previous_model(session, look(session, "scones")) == before

    session.client("sagemaker").delete_endpoint(EndpointName="scones")
    session.client("sagemaker").create_endpoint(EndpointName="scones", EndpointConfigName=A)
    with pytest.raises(RefusedError, match="no other model before"):
        previous_model(session, look(session, "scones"))


@pytest.mark.parametrize(("given", "reason"), [("2026", f"one of {A}, {B}"), ("x", "`scones model list`")])
def test_a_name_must_mean_one_model(session: boto3.Session, given: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        model_named(given, look(session, "scones"))


def test_versions_of_an_endpoint_whose_name_begins_alike_are_not_its_own(session: boto3.Session) -> None:
    for other in ("scones-dev-20261123-101500-042", "my-scones-20261123-101500-042", "scones"):
        add(session, other, other)
    found = look(session, "scones")
    assert (found.configs, found.models) == ((A, B), (A, B))
    assert look(session, "scon").configs == ()
