"""What `model_build deploy` would send: valid for AWS, and refused where AWS refuses it."""

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.sagemaker.validation import check_request
from model_build.artifact.container_images import CLASSIC_REGIONS, OTHER_ACCOUNTS, serving_image
from model_build.endpoint import deploy
from model_build.endpoint.requests import DeployRequest, endpoint_requests, is_version_of, version_name
from model_build.errors import RefusedError

ROLE = "arn:aws:iam::123456789012:role/scones-model"
REQUEST = DeployRequest(model="build/model", endpoint_name="scones", role_arn=ROLE, bucket="scones-models")
COMMAND = [
    "--model",
    "build/model",
    "--endpoint-name",
    "scones",
    "--role-arn",
    ROLE,
    "--bucket",
    "scones-models",
]


def dry_run(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict[str, Any]]:
    """The calls that `deploy --dry-run` prints, by operation."""
    parser = argparse.ArgumentParser()
    deploy.add_arguments(parser)
    assert deploy.run(parser.parse_args([*COMMAND, *options, "--dry-run"])) == 0
    calls = json.loads(capsys.readouterr().out)
    for call in calls:
        check_request(call["service"], call["operation"], call["parameters"])
    return {call["operation"]: call["parameters"] for call in calls}


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def test_dry_run_of_a_real_time_endpoint_with_capture(capsys: pytest.CaptureFixture[str]) -> None:
    calls = dry_run(capsys, "--instance-type", "ml.c5.large", "--instance-count", "2", "--capture")

    version = calls["CreateModel"]["ModelName"]
    assert is_version_of(version, "scones")
    container = calls["CreateModel"]["PrimaryContainer"]
    assert container["ModelDataUrl"] == f"s3://scones-models/models/{version}/model.tar.gz"
    assert calls["PutObject"] == {"Bucket": "scones-models", "Key": f"models/{version}/model.tar.gz"}
    assert container["Image"].startswith("763104351884.dkr.ecr.eu-west-1.amazonaws.com/ray:")
    config = calls["CreateEndpointConfig"]
    assert config["EndpointConfigName"] == version
    (variant,) = config["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.c5.large", 2)
    capture = config["DataCaptureConfig"]
    assert capture["EnableCapture"] is True
    assert capture["DestinationS3Uri"] == "s3://scones-models/capture"
    assert {option["CaptureMode"] for option in capture["CaptureOptions"]} == {"Input", "Output"}
    assert "RegisterScalableTarget" not in calls
    for operation in ("CreateEndpoint", "UpdateEndpoint"):
        assert calls[operation] == {"EndpointName": "scones", "EndpointConfigName": version}


def test_dry_run_of_a_scaling_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    calls = dry_run(capsys, "--max-instances", "4", "--invocations-per-instance", "600")

    target = calls["RegisterScalableTarget"]
    assert target["ResourceId"] == "endpoint/scones/variant/AllTraffic"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    policy = calls["PutScalingPolicy"]
    assert policy["ResourceId"] == target["ResourceId"]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 600.0
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantInvocationsPerInstance"
    (variant,) = calls["CreateEndpointConfig"]["ProductionVariants"]
    assert variant["VariantName"] == "AllTraffic"
    assert "DataCaptureConfig" not in calls["CreateEndpointConfig"]


def test_dry_run_of_a_serverless_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    calls = dry_run(capsys, "--serverless-memory", "3072", "--serverless-concurrency", "20")

    (variant,) = calls["CreateEndpointConfig"]["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 20}
    assert not {"InstanceType", "InitialInstanceCount"} & set(variant)
    assert "DataCaptureConfig" not in calls["CreateEndpointConfig"]


@pytest.mark.parametrize(
    "image", ["ray", "torchserve", "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"]
)
def test_dry_run_names_the_chosen_image(capsys: pytest.CaptureFixture[str], image: str) -> None:
    container = dry_run(capsys, "--image", image)["CreateModel"]["PrimaryContainer"]

    uri, chosen = serving_image(image, "eu-west-1")
    assert container["Image"] == uri
    assert container["Environment"] == chosen.environment
    if image == "torchserve":
        assert container["Environment"]["SAGEMAKER_PROGRAM"] == "torchserve_program.py"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"serverless_memory_mb": 2048, "capture": True}, "--instance-type"),
        ({"serverless_memory_mb": 2048, "instance_type": "ml.m5.large"}, "leave one out"),
        ({"serverless_memory_mb": 2048, "max_instances": 3}, "--serverless-concurrency"),
        ({"serverless_memory_mb": 1500}, "1024, 2048"),
        ({"serverless_memory_mb": 2048, "serverless_concurrency": 500}, "1 to 200"),
        ({"instance_count": 0}, "model_build delete"),
        ({"instance_count": 3, "max_instances": 2}, "as many or more"),
        ({"instance_type": "m5.large"}, "ml.m5.large"),
        ({"invocations_per_instance": 0}, "1 or more"),
        ({"capture_percent": 0}, "1 to 100"),
        ({"endpoint_name": "scones_prod"}, "letters, digits and hyphens"),
        ({"endpoint_name": "a" * 44}, "1 to 43"),
        ({"endpoint_name": "scones-"}, "both ends"),
        ({"role_arn": "scones-model"}, "role.yaml"),
        ({"bucket": "s3://scones-models"}, "without s3://"),
        ({"image": "tensorflow"}, "ray, torchserve"),
    ],
)
def test_what_aws_refuses_is_refused_with_the_way_out(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError, match=says) as refused:
        endpoint_requests(replace(REQUEST, **change), version="v", region="eu-west-1")

    assert refused.value.exit_code == 2


def test_longest_endpoint_name_still_fits_with_its_timestamp() -> None:
    request = replace(REQUEST, endpoint_name="a" * 43)

    requests = endpoint_requests(request, version=version_name(request.endpoint_name), region="eu-west-1")

    for call in requests.as_json():
        check_request(call["service"], call["operation"], call["parameters"])


def test_versions_of_one_endpoint_are_told_from_those_of_another() -> None:
    version = version_name("scones", datetime(2026, 11, 23, 10, 15, 0, 42_000, tzinfo=UTC))

    assert version == "scones-20261123-101500-042"
    assert is_version_of(version, "scones")
    assert not is_version_of(version, "scon")
    assert not is_version_of("scones-dev-20261123-101500-042", "scones")
    assert not is_version_of("scones", "scones")


def test_versions_sort_by_the_time_they_were_made() -> None:
    times = [datetime(2026, month, 3, tzinfo=UTC) for month in (2, 9, 10, 12)]

    names = [version_name("scones", time) for time in times]

    assert names == sorted(names)


def test_every_region_known_has_one_registry_of_its_own_account() -> None:
    assert not CLASSIC_REGIONS & set(OTHER_ACCOUNTS)
    for region in (*CLASSIC_REGIONS, *OTHER_ACCOUNTS):
        uri, _ = serving_image("ray", region)
        check_request("sagemaker", "CreateModel", {"ModelName": "m", "PrimaryContainer": {"Image": uri}})
        assert region in uri


def test_unknown_region_needs_a_whole_image_uri() -> None:
    with pytest.raises(RefusedError, match="--image"):
        serving_image("ray", "mars-north-1")


def test_no_region_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(RefusedError, match="AWS_DEFAULT_REGION"):
        deploy.deploy(REQUEST)
