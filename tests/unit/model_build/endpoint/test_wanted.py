"""What `model deploy` accepts: exactly what AWS accepts, with its bounds."""

from dataclasses import replace
from typing import Any

import click
import pytest

from model_build.commands.endpoint import deploy_command
from model_build.endpoint.aws import given_stack
from model_build.endpoint.steps import Wanted
from model_build.errors import RefusedError

WANTED = Wanted(model="build/model", endpoint_name="scones")
OWN_SERVERLESS = {"image": "own", "serverless_memory_mb": 2048}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"serverless_memory_mb": 2048}, "--image own"),
        ({**OWN_SERVERLESS, "capture": True}, "--instance-type"),
        ({"serverless_memory_mb": 2048, "instance_type": "ml.m5.large"}, "omit one"),
        ({**OWN_SERVERLESS, "max_instances": 3}, "--serverless-concurrency"),
        *[({"instance_type": kind}, "ml.m5.large") for kind in ("m5.large", "ml.m5")],
        ({"endpoint_name": "scones_prod"}, "letters, digits and hyphens"),
        *[({"endpoint_name": name}, "both ends") for name in ("scones-", "-scones")],
        *[({"endpoint_name": name}, "--endpoint-name") for name in ("", "a" * 44)],
        ({"image": "tensorflow"}, "give ray, own or a complete image URI"),
        *[({"instance_count": number}, "--instance-count") for number in (0, -1)],
        *[({"instance_count": 3, "max_instances": number}, "--max-instances") for number in (2, 0)],
        *[
            ({"image": "own", "serverless_memory_mb": size}, "--serverless-memory")
            for size in (0, 1023, 1025, 1500, 7168)
        ],
    ],
)
def test_what_aws_refuses_is_refused_with_the_way_out(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=message) as refused:
        replace(WANTED, **change)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "change",
    [
        *[{"endpoint_name": name} for name in ("a", "a" * 43, "a--b")],
        *[{"instance_count": number} for number in (1, 2)],
        *[{"instance_count": 3, "max_instances": number} for number in (3, 4)],
        *[{"image": "own", "serverless_memory_mb": size} for size in (1024, 2048, 6144)],
    ],
)
def test_what_aws_accepts_is_accepted(change: dict[str, Any]) -> None:
    wanted = replace(WANTED, **change)
    assert {name: getattr(wanted, name) for name in change} == change


@pytest.mark.parametrize(
    ("option", "inside", "outside"),
    [
        ("--invocations-per-instance", ["1"], ["0"]),
        ("--capture-percent", ["1", "100"], ["0", "101"]),
        ("--serverless-concurrency", ["1", "200"], ["0", "201"]),
    ],
)
def test_options_are_accepted_up_to_their_bounds(option: str, inside: list[str], outside: list[str]) -> None:
    (kind,) = [one.type for one in deploy_command.params if option in one.opts]
    assert [kind.convert(value, None, None) for value in inside] == [int(value) for value in inside]
    for value in outside:
        with pytest.raises(click.BadParameter):
            kind.convert(value, None, None)


@pytest.mark.parametrize(
    ("role", "bucket", "message"),
    [
        ("scones-model", "b-b", "role.yaml"),
        ("arn:aws:iam::12345678901:role/eleven-digits", "b-b", "role.yaml"),
        ("arn:aws:iam::123456789012:role/r", "s3://scones-models", "without s3://"),
        *[("arn:aws:iam::123456789012:role/r", bucket, "--bucket") for bucket in ("Scones", "ab", "a" * 64)],
    ],
)
def test_role_and_bucket_are_checked(role: str, bucket: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        given_stack(role, bucket, "eu-west-1")


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_a_given_role_names_the_account_of_the_own_image(partition: str) -> None:
    stack = given_stack(f"arn:{partition}:iam::123456789012:role/service-role/s", "a" * 63, "eu-west-1")
    assert stack.repository == "123456789012.dkr.ecr.eu-west-1.amazonaws.com/scones-serving"
