"""The role of the model's containers allows exactly what SageMaker needs, on our resources only."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

from model_build.artifact.container_images import SERVING_IMAGES, TRAINING_IMAGE
from model_build.endpoint.plan import plan_deployment
from model_build.endpoint.requests import DeployRequest

ROOT = Path(__file__).resolve().parents[2]
RESOURCES: dict[str, Any] = yaml_parse((ROOT / "model_build" / "role.yaml").read_text(encoding="utf-8"))[
    "Resources"
]
ROLE = RESOURCES["ModelRole"]["Properties"]
STATEMENTS = {
    statement["Sid"]: statement
    for policy in ROLE["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_actions_are_exactly_these() -> None:
    actions = {action for statement in STATEMENTS.values() for action in as_list(statement["Action"])}

    assert actions == {
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
        "cloudwatch:PutMetricData",
    }
    assert "ManagedPolicyArns" not in ROLE, "managed policies allow more than is needed"


def test_only_actions_without_resource_types_are_allowed_on_all_resources() -> None:
    on_all = {
        action
        for statement in STATEMENTS.values()
        if "*" in as_list(statement["Resource"])
        for action in as_list(statement["Action"])
    }

    assert on_all == {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
    assert "cloudwatch:namespace" in json.dumps(STATEMENTS["WriteMetrics"]["Condition"])


def test_only_sagemaker_in_this_account_may_assume_the_role() -> None:
    (trust,) = ROLE["AssumeRolePolicyDocument"]["Statement"]

    assert trust["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize(
    ("sid", "key"),
    [
        ("ReadModelsAndTrainingData", "archive"),
        ("ReadModelsAndTrainingData", "training/data/scones-training-1/train/bicycle/00000.png"),
        ("ReadModelsAndTrainingData", "training/input/scones-training-1/input/code/train.py"),
        ("WriteTrainedModelsAndCapturedData", "training/scones-training-1/output/model.tar.gz"),
        ("WriteTrainedModelsAndCapturedData", "capture/scones/AllTraffic/2026/11/23/07/00-00-000.jsonl"),
    ],
)
def test_objects_that_the_commands_write_are_accessible(sid: str, key: str) -> None:
    if key == "archive":
        request = DeployRequest("m", "scones", "arn:aws:iam::123456789012:role/r", "bucket", capture=True)
        plan = plan_deployment(request, version="scones-1", region="us-east-1")
        key = plan.upload.parameters["Key"]

    allowed = [text["Fn::Sub"] for text in as_list(STATEMENTS[sid]["Resource"])]

    assert any(fnmatchcase("${ModelBucket.Arn}/" + key, pattern) for pattern in allowed)


def test_captured_data_is_not_readable_by_the_container() -> None:
    allowed = [text["Fn::Sub"] for text in as_list(STATEMENTS["ReadModelsAndTrainingData"]["Resource"])]

    assert not any(fnmatchcase("${ModelBucket.Arn}/capture/x.jsonl", pattern) for pattern in allowed)


@pytest.mark.parametrize("tag", [TRAINING_IMAGE, *(image.tag for image in SERVING_IMAGES.values())])
def test_every_image_that_the_commands_use_can_be_pulled(tag: str) -> None:
    repository = tag.split(":", maxsplit=1)[0]

    allowed = [text["Fn::Sub"] for text in STATEMENTS["PullImages"]["Resource"]]

    assert any(pattern.endswith(f":*:repository/{repository}") for pattern in allowed)


def test_the_bucket_is_private_encrypted_and_outlives_the_stack() -> None:
    bucket = RESOURCES["ModelBucket"]

    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketEncryption" in bucket["Properties"]
