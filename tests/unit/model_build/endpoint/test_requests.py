"""What `model_build deploy` accepts: exactly what AWS accepts, with its bounds."""

from dataclasses import replace
from typing import Any

import pytest

from model_build.endpoint.requests import DeployRequest
from model_build.errors import RefusedError

ROLE = "arn:aws:iam::123456789012:role/scones-model"
REQUEST = DeployRequest(model="build/model", endpoint_name="scones", role_arn=ROLE, bucket="scones-models")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"serverless_memory_mb": 2048}, "--image own"),
        ({"serverless_memory_mb": 2048, "image": "own", "capture": True}, "--instance-type"),
        ({"serverless_memory_mb": 2048, "instance_type": "ml.m5.large"}, "omit one"),
        ({"serverless_memory_mb": 2048, "image": "own", "max_instances": 3}, "--serverless-concurrency"),
        ({"instance_type": "m5.large"}, "ml.m5.large"),
        ({"instance_type": "ml.m5"}, "ml.m5.large"),
        ({"endpoint_name": "scones_prod"}, "letters, digits and hyphens"),
        ({"endpoint_name": "scones-"}, "both ends"),
        ({"endpoint_name": "-scones"}, "both ends"),
        ({"role_arn": "scones-model"}, "role.yaml"),
        ({"role_arn": "arn:aws:iam::12345678901:role/eleven-digits"}, "role.yaml"),
        ({"bucket": "s3://scones-models"}, "without s3://"),
        ({"bucket": "Scones"}, "--bucket"),
    ],
)
def test_what_aws_refuses_is_refused_with_the_way_out(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError, match=says) as refused:
        replace(REQUEST, **change)

    assert refused.value.exit_code == 2


# Field, other fields it depends on, the values just inside and just outside its bounds.
BOUNDS: list[tuple[str, dict[str, Any], list[Any], list[Any]]] = [
    ("endpoint_name", {}, ["a", "a" * 43, "a--b"], ["", "a" * 44]),
    ("bucket", {}, ["abc", "a" * 63], ["ab", "a" * 64]),
    ("instance_count", {}, [1, 2], [0, -1]),
    ("max_instances", {"instance_count": 3}, [3, 4], [2, 0]),
    ("invocations_per_instance", {}, [1], [0]),
    ("capture_percent", {"capture": True}, [1, 100], [0, 101]),
    (
        "serverless_memory_mb",
        {"image": "own"},
        [1024, 2048, 3072, 4096, 5120, 6144],
        [0, 1023, 1025, 1500, 6143, 7168],
    ),
    ("serverless_concurrency", {"image": "own", "serverless_memory_mb": 1024}, [1, 200], [0, 201]),
]


@pytest.mark.parametrize(
    ("field", "others", "value"),
    [(field, others, value) for field, others, inside, _ in BOUNDS for value in inside],
)
def test_values_at_the_bounds_are_accepted(field: str, others: dict[str, Any], value: Any) -> None:
    assert getattr(replace(REQUEST, **others, **{field: value}), field) == value


@pytest.mark.parametrize(
    ("field", "others", "value"),
    [(field, others, value) for field, others, _, outside in BOUNDS for value in outside],
)
def test_values_beyond_the_bounds_are_refused_by_name(field: str, others: dict[str, Any], value: Any) -> None:
    option = "--" + field.replace("_", "-").removesuffix("-mb")

    with pytest.raises(RefusedError, match=option):
        replace(REQUEST, **others, **{field: value})


def test_bounds_of_the_other_hosting_do_not_matter() -> None:
    assert not replace(REQUEST, serverless_concurrency=0).serverless
    serverless = replace(REQUEST, image="own", serverless_memory_mb=1024)
    assert replace(serverless, instance_count=0, invocations_per_instance=0).serverless


@pytest.mark.parametrize("image", ["own", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x:1"])
def test_other_images_may_be_serverless(image: str) -> None:
    assert replace(REQUEST, image=image, serverless_memory_mb=2048).image == image


def test_the_account_is_that_of_the_role() -> None:
    assert REQUEST.account == "123456789012"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_roles_of_every_partition_are_accepted(partition: str) -> None:
    role = f"arn:{partition}:iam::123456789012:role/service-role/scones"

    assert replace(REQUEST, role_arn=role).role_arn == role
