"""The calls that `model_build deploy` would make: valid for AWS, and what was asked for."""

import json
from dataclasses import replace
from typing import Any

import boto3
import pytest

from localcloud.sagemaker.validation import check_request
from model_build.__main__ import main
from model_build.artifact import own_image
from model_build.artifact.container_images import serving_image
from model_build.endpoint.deploy import deploy
from model_build.endpoint.plan import plan_deployment
from model_build.endpoint.requests import DeployRequest
from model_build.endpoint.versions import is_version_of, version_name
from model_build.errors import RefusedError
from model_build.serving.inference import VERSION_VARIABLE

ROLE = "arn:aws:iam::123456789012:role/scones-model"
REQUEST = DeployRequest(model="build/model", endpoint_name="scones", role_arn=ROLE, bucket="scones-models")
COMMAND = (
    *("deploy", "--model", "build/model", "--endpoint-name", "scones"),
    *("--role-arn", ROLE, "--bucket", "scones-models", "--dry-run"),
)


def dry_run(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict[str, Any]]:
    """Return the parameters of the calls that `deploy --dry-run` prints, by operation."""
    assert main([*COMMAND, *options]) == 0
    calls = json.loads(capsys.readouterr().out)
    for call in calls:
        check_request(call["service"], call["operation"], call["parameters"])
    return {call["operation"]: call["parameters"] for call in calls}


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_REGION", raising=False)


def test_defaults_are_one_instance_that_neither_scales_nor_captures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = dry_run(capsys)

    assert list(calls) == [
        "PutObject", "CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint",
    ]  # fmt: skip
    (variant,) = calls["CreateEndpointConfig"]["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.large", 1)
    assert variant["InitialVariantWeight"] == 1.0
    assert "DataCaptureConfig" not in calls["CreateEndpointConfig"]


def test_dry_run_of_a_real_time_endpoint_with_capture(capsys: pytest.CaptureFixture[str]) -> None:
    calls = dry_run(capsys, "--instance-type", "ml.c5.large", "--instance-count", "2", "--capture")

    version = calls["CreateModel"]["ModelName"]
    assert is_version_of(version, "scones")
    container = calls["CreateModel"]["PrimaryContainer"]
    assert container["ModelDataUrl"] == f"s3://scones-models/models/{version}/model.tar.gz"
    assert calls["PutObject"] == {"Bucket": "scones-models", "Key": f"models/{version}/model.tar.gz"}
    assert container["Image"].startswith("763104351884.dkr.ecr.eu-west-1.amazonaws.com/ray:")
    assert calls["CreateModel"]["ExecutionRoleArn"] == ROLE
    config = calls["CreateEndpointConfig"]
    assert config["EndpointConfigName"] == version
    (variant,) = config["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.c5.large", 2)
    capture = config["DataCaptureConfig"]
    assert capture["EnableCapture"] is True
    assert capture["InitialSamplingPercentage"] == 100
    assert capture["DestinationS3Uri"] == "s3://scones-models/capture"
    assert {option["CaptureMode"] for option in capture["CaptureOptions"]} == {"Input", "Output"}
    assert capture["CaptureContentTypeHeader"] == {"JsonContentTypes": ["application/json"]}
    assert "RegisterScalableTarget" not in calls
    for operation in ("CreateEndpoint", "UpdateEndpoint"):
        assert calls[operation] == {"EndpointName": "scones", "EndpointConfigName": version}


def test_a_share_of_the_requests_is_captured(capsys: pytest.CaptureFixture[str]) -> None:
    config = dry_run(capsys, "--capture", "--capture-percent", "7")["CreateEndpointConfig"]

    assert config["DataCaptureConfig"]["InitialSamplingPercentage"] == 7


def test_dry_run_of_a_scaling_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    calls = dry_run(capsys, "--instance-count", "2", "--max-instances", "4")

    target = calls["RegisterScalableTarget"]
    assert target["ResourceId"] == "endpoint/scones/variant/AllTraffic"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 4)
    policy = calls["PutScalingPolicy"]
    assert {
        policy[key] == target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")
    } == {True}
    assert (policy["PolicyName"], policy["PolicyType"]) == ("scones-invocations", "TargetTrackingScaling")
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 1000.0
    assert (tracking["ScaleOutCooldown"], tracking["ScaleInCooldown"]) == (60, 300)
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantInvocationsPerInstance"
    (variant,) = calls["CreateEndpointConfig"]["ProductionVariants"]
    assert variant["VariantName"] == "AllTraffic"


def test_scaling_aims_at_the_given_number_of_invocations(capsys: pytest.CaptureFixture[str]) -> None:
    policy = dry_run(capsys, "--max-instances", "4", "--invocations-per-instance", "600")["PutScalingPolicy"]

    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 600.0


def test_dry_run_of_a_serverless_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    calls = dry_run(capsys, "--image", "own", "--serverless-memory", "3072", "--serverless-concurrency", "20")

    (variant,) = calls["CreateEndpointConfig"]["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 20}
    assert not {"InstanceType", "InitialInstanceCount"} & set(variant)
    assert "DataCaptureConfig" not in calls["CreateEndpointConfig"]


def test_a_serverless_endpoint_answers_five_requests_at_a_time_by_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (variant,) = dry_run(capsys, "--image", "own", "--serverless-memory", "1024")["CreateEndpointConfig"][
        "ProductionVariants"
    ]

    assert variant["ServerlessConfig"]["MaxConcurrency"] == 5


def test_conditions_of_the_calls_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--max-instances", "2"]) == 0

    conditions = {call["operation"]: call.get("when") for call in json.loads(capsys.readouterr().out)}

    assert conditions == {
        "PutObject": None,
        "CreateModel": None,
        "CreateEndpointConfig": None,
        "CreateEndpoint": "the endpoint does not exist yet",
        "UpdateEndpoint": "the endpoint exists",
        "RegisterScalableTarget": "the endpoint is in service",
        "PutScalingPolicy": "the endpoint is in service",
    }


@pytest.mark.parametrize(
    "image",
    ["ray", "own", "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"],
)
def test_dry_run_names_the_chosen_image(capsys: pytest.CaptureFixture[str], image: str) -> None:
    container = dry_run(capsys, "--image", image)["CreateModel"]["PrimaryContainer"]

    uri, chosen = serving_image(image, "eu-west-1", account="123456789012")
    assert container["Image"] == uri
    version = container["ModelDataUrl"].split("/")[-2]
    assert container["Environment"] == {**chosen.environment, VERSION_VARIABLE: version}


@pytest.mark.parametrize(
    ("options", "architecture"),
    [
        (["--serverless-memory", "2048"], "x86_64"),
        (["--instance-type", "ml.m5.large"], "x86_64"),
        (["--instance-type", "ml.g4dn.xlarge"], "x86_64"),
        (["--instance-type", "ml.m6g.large"], "arm64"),
        (["--instance-type", "ml.c7g.xlarge"], "arm64"),
    ],
)
def test_our_image_is_that_of_the_account_and_the_processor(
    capsys: pytest.CaptureFixture[str], options: list[str], architecture: str
) -> None:
    container = dry_run(capsys, "--image", "own", *options)["CreateModel"]["PrimaryContainer"]

    tag = own_image.tag(architecture)
    assert container["Image"] == f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/scones-serving:{tag}"
    assert tag.endswith(architecture)


def test_unknown_image_is_refused_with_those_known() -> None:
    with pytest.raises(RefusedError, match="ray, own"):
        plan_deployment(replace(REQUEST, image="tensorflow"), version="v", region="eu-west-1")


def test_longest_endpoint_name_still_fits_with_its_timestamp() -> None:
    request = replace(REQUEST, endpoint_name="a" * 43)

    plan = plan_deployment(request, version=version_name(request.endpoint_name), region="eu-west-1")

    for call in plan.as_json():
        check_request(call["service"], call["operation"], call["parameters"])


def test_a_missing_region_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(RefusedError, match="AWS_REGION"):
        deploy(REQUEST, session=boto3.Session())


def test_aws_region_is_understood_and_counts_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "ap-south-1")

    container = dry_run(capsys)["CreateModel"]["PrimaryContainer"]

    assert ".ecr.ap-south-1." in container["Image"]


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--instance-count", "0"], "--instance-count 0"), (["--instance-count", "x"], "integer")],
)
def test_wrong_options_end_with_2(capsys: pytest.CaptureFixture[str], options: list[str], says: str) -> None:
    assert main([*COMMAND, *options]) == 2
    assert says in capsys.readouterr().err
