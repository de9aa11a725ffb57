"""The steps between what is found and what is wanted: valid for AWS, in an order that it allows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localcloud.sagemaker.validation import check_request
from model_build.archive import own_image
from model_build.archive.container_images import ENVIRONMENT
from model_build.archive.trusted_code import TRUSTED_VARIABLE
from model_build.endpoint.aws import given_stack
from model_build.endpoint.found import Found, Scaling, version_name
from model_build.endpoint.steps import (
    Archive,
    Step,
    Version,
    Wanted,
    replaced_version,
    steps_to,
    steps_to_nothing,
    wanted_version,
)
from model_build.errors import RefusedError
from model_build.serving.inference import VERSION_VARIABLE

REGION = "eu-west-1"
STACK = given_stack("arn:aws:iam::123456789012:role/scones-model", "scones-models", REGION)
WANTED = Wanted(endpoint_name="scones")
NEW, OLD = "scones-20261123-101500-042", "scones-20261120-080000-000"
LOGS = ["CreateLogGroup", "PutRetentionPolicy"]
VERSION = ["PutObject", "CreateModel", "CreateEndpointConfig"]
RESOURCE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/scones/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
SCALING = Scaling(
    targets=({**RESOURCE, "MinCapacity": 1, "MaxCapacity": 3},),
    policies=({**RESOURCE, "PolicyName": "p", "PolicyType": "TargetTrackingScaling"},),
)
SCALING_REMOVED = ["DeleteScalingPolicy", "DeregisterScalableTarget"]
SCALING_SET = ["RegisterScalableTarget", "PutScalingPolicy"]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"archive")
    return Archive(path, {"labels": ["red", "blue"]}, has_foreign_code=False)


def version(archive: Archive, wanted: Wanted = WANTED, name: str = NEW) -> Version:
    return wanted_version(wanted, STACK, archive, name=name, region=REGION)


def found(archive: Archive, wanted: Wanted = WANTED, **changes: Any) -> Found:
    """Return an endpoint in service on a version of this."""
    old = version(archive, wanted, OLD)
    endpoint = {"EndpointStatus": "InService", "EndpointConfigName": OLD, "EndpointArn": "a"}
    group = {"logGroupName": "g", "retentionInDays": 30}
    return replace(Found("scones", endpoint, old.config, old.model, log_group=group), **changes)


def operations(steps: list[Step]) -> list[str]:
    for step in steps:
        for call in filter(None, (step.call, step.undo)):
            if "ResourceArn" not in call.parameters:  # known only later
                check_request(call.service, call.operation, call.parameters)
    return [step.call.operation for step in steps]


def test_an_empty_account_gets_everything_in_this_order(archive: Archive) -> None:
    wanted = replace(WANTED, capture=True, max_instances=3)

    steps = steps_to(version(archive, wanted), Found("scones"), uploaded=False)

    assert operations(steps) == [*LOGS, *VERSION, "CreateEndpoint", "AddTags", *SCALING_SET]
    undone = [step.undo.operation for step in steps if step.undo]
    assert undone == ["DeleteModel", "DeleteEndpointConfig", "DeleteEndpoint"]
    assert [step.serves for step in steps if step.settles] == [NEW]


def test_an_update_uploads_no_archive_twice_and_keeps_others_retention(archive: Archive) -> None:
    steps = steps_to(version(archive), found(archive), uploaded=True)

    assert operations(steps) == ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint", "AddTags"]
    assert steps[2].call.parameters == {"EndpointName": "scones", "EndpointConfigName": NEW}


def test_an_endpoint_that_scaled_out_keeps_its_instances(archive: Archive) -> None:
    wanted = replace(WANTED, max_instances=5)

    steps = steps_to(version(archive, wanted), found(archive, scaling=SCALING), uploaded=True)

    assert operations(steps)[2:] == ["UpdateEndpoint", "AddTags", *SCALING_SET]
    update = steps[2].call.parameters
    assert update["RetainAllVariantProperties"] is True
    assert {"VariantPropertyType": "DataCaptureConfig"} in update["ExcludeRetainedVariantProperties"]


@pytest.mark.parametrize("wanted", [replace(WANTED, max_instances=5, instance_type="ml.c5.large"), WANTED])
def test_scaling_is_off_while_the_instance_type_changes_or_if_it_is_not_wanted(
    archive: Archive, wanted: Wanted
) -> None:
    steps = steps_to(version(archive, wanted), found(archive, scaling=SCALING), uploaded=True)

    ends = SCALING_SET if wanted.max_instances else []
    assert operations(steps)[2:] == [*SCALING_REMOVED, "UpdateEndpoint", "AddTags", *ends]
    restored = [step.undo for step in steps[2:4] if step.undo]
    assert [call.operation for call in restored] == ["PutScalingPolicy", "RegisterScalableTarget"]
    assert [call.parameters for call in restored] == [*SCALING.policies, *SCALING.targets]
    assert "RetainAllVariantProperties" not in steps[4].call.parameters


def test_a_failed_endpoint_is_deleted_and_made_anew(archive: Archive) -> None:
    failed = {"EndpointStatus": "Failed", "EndpointConfigName": OLD}

    steps = steps_to(version(archive), found(archive, endpoint=failed), uploaded=True)

    names = operations(steps)
    assert names.index("DeleteEndpoint") < names.index("CreateEndpoint")


@pytest.mark.parametrize("status", ["Creating", "Updating", "RollingBack", "Deleting"])
def test_a_changing_endpoint_is_refused(archive: Archive, status: str) -> None:
    with pytest.raises(RefusedError, match=f"is {status}: wait until"):
        steps_to(version(archive), found(archive, endpoint={"EndpointStatus": status}), uploaded=True)


def test_instances_become_serverless_only_by_deletion_but_serverless_an_instance_in_place(
    archive: Archive,
) -> None:
    serverless = replace(WANTED, serverless_memory_mb=2048, image="own")

    with pytest.raises(RefusedError, match="scones model delete"):
        steps_to(version(archive, serverless), found(archive), uploaded=True)
    steps = steps_to(version(archive), found(archive, serverless), uploaded=True)
    assert "UpdateEndpoint" in operations(steps)


def test_deletion_takes_everything_away_and_can_restore_the_scaling(archive: Archive) -> None:
    there = found(archive, scaling=SCALING, configs=(OLD, NEW), models=(OLD,))

    steps = steps_to_nothing(there, logs=True)

    endpoint = ["DeleteEndpoint", "DeleteEndpointConfig", "DeleteEndpointConfig", "DeleteModel"]
    assert operations(steps) == [*SCALING_REMOVED, *endpoint, "DeleteLogGroup"]
    assert [bool(step.undo) for step in steps] == [True, True, False, False, False, False, False]
    assert steps_to_nothing(Found("scones"), logs=True) == []


def test_the_version_is_what_was_asked_for(archive: Archive) -> None:
    wanted = replace(WANTED, instance_type="ml.c5.large", instance_count=2, capture=True, capture_percent=7)

    made = version(archive, wanted)

    container = made.model["PrimaryContainer"]
    assert container["ModelDataUrl"] == f"s3://scones-models/models/{archive.digest}/model.tar.gz"
    assert container["Image"].startswith("763104351884.dkr.ecr.eu-west-1.amazonaws.com/ray:")
    assert container["Environment"] == {**ENVIRONMENT, VERSION_VARIABLE: NEW}
    assert made.model["ExecutionRoleArn"] == STACK.role_arn
    assert made.variant["InitialInstanceCount"] == 2
    capture = made.config["DataCaptureConfig"]
    assert (capture["InitialSamplingPercentage"], capture["DestinationS3Uri"]) == (
        *(7, "s3://scones-models/capture"),
    )
    assert {option["CaptureMode"] for option in capture["CaptureOptions"]} == {"Input", "Output"}
    scaled = version(archive, replace(wanted, max_instances=4, invocations_per_instance=600)).scaling
    assert scaled[0].parameters == {**RESOURCE, "MinCapacity": 2, "MaxCapacity": 4}
    assert scaled[1].parameters["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 600.0


@pytest.mark.parametrize(
    ("hosting", "architecture"),
    [
        ({"serverless_memory_mb": 2048}, "x86_64"),
        ({"instance_type": "ml.g4dn.xlarge"}, "x86_64"),
        ({"instance_type": "ml.m6g.large"}, "arm64"),
    ],
)
def test_our_image_is_that_of_the_repository_and_the_processor(
    archive: Archive, hosting: dict[str, Any], architecture: str
) -> None:
    made = version(archive, replace(WANTED, image="own", **hosting))

    image = f"{STACK.repository}:{own_image.tag(architecture)}"
    assert made.model["PrimaryContainer"]["Image"] == image
    if "serverless_memory_mb" in hosting:
        assert made.variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}


def test_a_replacement_differs_by_its_model_only(archive: Archive) -> None:
    there = found(archive, replace(WANTED, capture=True, instance_count=3), scaling=SCALING)
    there.model["PrimaryContainer"] |= {"ModelDataSource": {}, "Mode": "SingleModel"}  # type: ignore[index]
    there.model["PrimaryContainer"]["Environment"][TRUSTED_VARIABLE] = "of the old archive"  # type: ignore[index]
    vpc = {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}}
    there.model.update(vpc, ModelArn="arn", CreationTime="now")  # type: ignore[union-attr]

    made = replaced_version(there, archive, NEW)

    assert set(made.model) == {"ModelName", "ExecutionRoleArn", "VpcConfig", "PrimaryContainer"}
    assert set(made.model["PrimaryContainer"]) == {"Image", "Mode", "Environment", "ModelDataUrl"}
    assert TRUSTED_VARIABLE not in made.model["PrimaryContainer"]["Environment"]
    assert made.model["PrimaryContainer"]["Environment"][VERSION_VARIABLE] == NEW
    assert made.variant == {**there.variant, "ModelName": NEW}
    assert made.config["DataCaptureConfig"] == there.config["DataCaptureConfig"]  # type: ignore[index]
    steps = steps_to(made, there, uploaded=True)
    assert operations(steps)[2:] == ["UpdateEndpoint", "AddTags"]
    assert steps[2].call.parameters["RetainAllVariantProperties"] is True


def test_trusted_code_is_named_by_the_digest_of_its_archive(archive: Archive) -> None:
    foreign = replace(archive, has_foreign_code=True)

    environment = version(foreign).model["PrimaryContainer"]["Environment"]

    assert environment[TRUSTED_VARIABLE] == archive.digest


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        (("bicycle", "motorcycle"), "bicycle motorcycle"),
        (("pickup_truck", "vélo"), "pickup_truck vélo"),
        (("a" * 127, "b" * 128), f"{'a' * 127} {'b' * 128}"),
        *[(labels, None) for labels in (("a" * 128, "b" * 128), ("sports car",), ("50%",), ("",), (), None)],
    ],
)
def test_labels_that_a_tag_can_hold(
    archive: Archive, labels: tuple[str, ...] | None, value: str | None
) -> None:
    labelled = replace(archive, manifest={"labels": labels and [*labels]})
    steps = steps_to(version(labelled), Found("scones"), uploaded=True)

    call = steps[-1].call
    assert call.operation == ("DeleteTags" if value is None else "AddTags")
    assert value is None or call.parameters["Tags"][0]["Value"] == value


def test_names_of_versions_sort_by_time_and_are_no_longer_than_sagemaker_allows() -> None:
    first, second = version_name("scones"), version_name("scones")
    assert first <= second
    assert len(version_name("a" * 43)) == 63
