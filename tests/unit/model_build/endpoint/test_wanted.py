"""What `model deploy` accepts: exactly what AWS accepts, with its bounds."""

from dataclasses import replace
from typing import Any

import pytest

from model_build.__main__ import main
from model_build.commands.endpoint import deploy_command
from model_build.endpoint.aws import given_stack
from model_build.endpoint.wanted import Wanted
from model_build.errors import RefusedError

WANTED = Wanted(model="build/model", endpoint_name="scones")


@pytest.mark.parametrize(
    ("change", "message"),
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
        ({"image": "tensorflow"}, "give ray, own or a complete image URI"),
    ],
)
def test_what_aws_refuses_is_refused_with_the_way_out(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=message) as refused:
        replace(WANTED, **change)

    assert refused.value.exit_code == 2


# Field, other fields it depends on, the values just inside and just outside its bounds.
BOUNDS: list[tuple[str, dict[str, Any], list[Any], list[Any]]] = [
    ("endpoint_name", {}, ["a", "a" * 43, "a--b"], ["", "a" * 44]),
    ("instance_count", {}, [1, 2], [0, -1]),
    ("max_instances", {"instance_count": 3}, [3, 4], [2, 0]),
    ("serverless_memory_mb", {"image": "own"}, [1024, 2048, 6144], [0, 1023, 1025, 1500, 7168]),
]


@pytest.mark.parametrize(("field", "others", "inside", "outside"), BOUNDS, ids=[row[0] for row in BOUNDS])
def test_bounds(field: str, others: dict[str, Any], inside: list[Any], outside: list[Any]) -> None:
    option = "--" + field.replace("_", "-").removesuffix("-mb")
    for value in inside:
        assert getattr(replace(WANTED, **others, **{field: value}), field) == value
    for value in outside:
        with pytest.raises(RefusedError, match=option):
            replace(WANTED, **others, **{field: value})


@pytest.mark.parametrize(
    "option",
    [
        ("--invocations-per-instance", "0"),
        ("--capture-percent", "0"),
        ("--capture-percent", "101"),
        ("--serverless-concurrency", "0"),
        ("--serverless-concurrency", "201"),
    ],
)
def test_options_have_bounds(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", *option]) == 2
    assert option[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "accepted"),
    [
        ("--invocations-per-instance", ["1"]),
        ("--capture-percent", ["1", "100"]),
        ("--serverless-concurrency", ["1", "200"]),
    ],
)
def test_options_are_accepted_up_to_their_bounds(option: str, accepted: list[str]) -> None:
    (kind,) = [one.type for one in deploy_command.params if option in one.opts]
    assert [kind.convert(value, None, None) for value in accepted] == [int(value) for value in accepted]


@pytest.mark.parametrize(
    ("role", "bucket", "message"),
    [
        ("scones-model", "b-b", "role.yaml"),
        ("arn:aws:iam::12345678901:role/eleven-digits", "b-b", "role.yaml"),
        ("arn:aws:iam::123456789012:role/r", "s3://scones-models", "without s3://"),
        ("arn:aws:iam::123456789012:role/r", "Scones", "--bucket"),
        ("arn:aws:iam::123456789012:role/r", "ab", "--bucket"),
        ("arn:aws:iam::123456789012:role/r", "a" * 64, "--bucket"),
    ],
)
def test_role_and_bucket_are_checked(role: str, bucket: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        given_stack(role, bucket, "eu-west-1")


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_a_given_role_names_the_account_of_the_own_image(partition: str) -> None:
    stack = given_stack(f"arn:{partition}:iam::123456789012:role/service-role/s", "a" * 63, "eu-west-1")

    assert stack.repository == "123456789012.dkr.ecr.eu-west-1.amazonaws.com/scones-serving"
