"""What is refused before anything is uploaded, at the edges of what is accepted."""

from pathlib import Path
from typing import Any

import pytest

from commandline.errors import CommandError
from model_build.cloud_training import TrainRequest
from model_build.training.recipe import Recipe

ROLE = "arn:aws:iam::123456789012:role/scones-model"


def request(**changes: Any) -> TrainRequest:
    values = {"data": [Path("c.tar.gz")], "role_arn": ROLE, "bucket": "scones-models"}
    return TrainRequest(**{**values, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_runtime_seconds": 60},
        {"max_runtime_seconds": 28 * 86_400},
        {"bucket": "abc"},
        {"image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/training:1"},
        {"role_arn": "arn:aws-cn:iam::123456789012:role/service-role/x"},
    ],
)
def test_what_aws_accepts_is_accepted(changes: dict[str, Any]) -> None:
    request(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_runtime_seconds": 59}, "--max-runtime 59"),
        ({"max_runtime_seconds": 28 * 86_400 + 1}, "--max-runtime 2419201"),
        ({"bucket": "ab"}, "--bucket 'ab'"),
        ({"bucket": "s3://scones-models"}, "without s3://"),
        ({"image": "pytorch"}, "--image 'pytorch': give a whole image URI"),
        ({"role_arn": "scones-model"}, "--role-arn 'scones-model' is not a role's ARN"),
        ({"role_arn": "arn:aws:iam::12345:role/x"}, "--role-arn"),
        ({"instance_type": "c5.xlarge"}, "--instance-type 'c5.xlarge'"),
        ({"classes": ("bicycle",)}, "--classes bicycle: give two or more"),
        ({"classes": ("bicycle", "bicycle")}, "--classes bicycle,bicycle"),
    ],
)
def test_what_aws_refuses_is_refused_with_the_option(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message) as refused:
        request(**changes)
    assert refused.value.exit_code == 2


def test_only_what_differs_from_the_defaults_becomes_a_hyperparameter() -> None:
    assert request().hyperparameters() == {"classes": "bicycle,motorcycle"}
    changed = request(classes=("red", "blue"), recipe=Recipe(epochs=80, bfloat16=False, learning_rate=1e-4))
    assert changed.hyperparameters() == {
        "classes": "red,blue",
        "epochs": "80",
        "bfloat16": "false",
        "learning_rate": "0.0001",
    }
