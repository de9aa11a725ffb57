"""The role of the model's containers allows exactly what SageMaker needs, on our resources only."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

from model_build.archive.container_images import OWN, SERVING_IMAGES, TRAINING_IMAGE
from model_build.archive.prepare import place_of
from model_build.endpoint.aws import given_stack
from model_build.endpoint.steps import Archive, Wanted, wanted_version

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "model_build" / "role.yaml").read_text(encoding="utf-8"))
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
ROLE = RESOURCES["ModelRole"]["Properties"]
STATEMENTS = {
    statement["Sid"]: statement
    for policy in ROLE["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions() -> dict[str, list[Any]]:
    """Return the resources on which each action is allowed."""
    found: dict[str, list[Any]] = {}
    for statement in STATEMENTS.values():
        for action in as_list(statement["Action"]):
            found.setdefault(action, []).extend(as_list(statement["Resource"]))
    return found


def test_the_actions_are_exactly_these() -> None:
    assert set(actions()) == {
        *("s3:GetObject", "s3:PutObject", "s3:ListBucket", "cloudwatch:PutMetricData"),
        *("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage"),
        *("ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer"),
        *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
    }
    assert "ManagedPolicyArns" not in ROLE, "managed policies allow more than is needed"


def test_only_actions_without_resource_types_are_allowed_on_all_resources() -> None:
    on_all = {action for action, resources in actions().items() if "*" in resources}
    assert on_all == {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
    assert "cloudwatch:namespace" in json.dumps(STATEMENTS["WriteMetrics"]["Condition"])


def test_only_sagemaker_in_this_account_may_assume_the_role() -> None:
    (trust,) = ROLE["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize(
    ("sid", "key", "accessible"),
    [
        ("ReadModelsAndTrainingData", "archive", True),
        ("ReadModelsAndTrainingData", "training/data/scones-training-1/train/bicycle/00000.png", True),
        ("ReadModelsAndTrainingData", "training/input/scones-training-1/input/code/train.py", True),
        ("WriteTrainedModelsAndCapturedData", "training/scones-training-1/output/model.tar.gz", True),
        ("WriteTrainedModelsAndCapturedData", "capture/scones/AllTraffic/2026/11/23/07/00-0.jsonl", True),
        ("ReadModelsAndTrainingData", "capture/x.jsonl", False),
    ],
)
def test_what_the_commands_write_is_accessible_but_captures_are_not_readable(
    sid: str, key: str, *, accessible: bool
) -> None:
    if key == "archive":
        stack = given_stack("arn:aws:iam::123456789012:role/r", "bucket", "us-east-1")
        archive = Archive(Path(__file__), {}, has_foreign_code=False)
        version = wanted_version(Wanted(), stack, archive, name="scones-1", region="us-east-1")
        key = place_of(version.data_url)["Key"]
    allowed = [text["Fn::Sub"] for text in as_list(STATEMENTS[sid]["Resource"])]
    assert any(fnmatchcase("${ModelBucket.Arn}/" + key, pattern) for pattern in allowed) is accessible


AWS_IMAGES = [TRAINING_IMAGE, *(image.tag for name, image in SERVING_IMAGES.items() if name != OWN)]


@pytest.mark.parametrize("tag", AWS_IMAGES)
def test_every_image_of_aws_that_the_commands_use_can_be_pulled(tag: str) -> None:
    repository = tag.split(":", maxsplit=1)[0]
    allowed = [text["Fn::Sub"] for text in STATEMENTS["PullImages"]["Resource"] if "Fn::Sub" in text]
    assert any(pattern.endswith(f":*:repository/{repository}") for pattern in allowed)


def test_our_image_can_be_pulled_from_the_repository_that_push_uses() -> None:
    repository = RESOURCES["ServingRepository"]["Properties"]
    assert repository["RepositoryName"] == {"Fn::Sub": "${AWS::StackName}-serving"}, "one for each stack"
    assert {"Fn::GetAtt": ["ServingRepository", "Arn"]} in STATEMENTS["PullImages"]["Resource"]
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert "LifecyclePolicy" not in repository, "no image may expire while it serves"
    assert RESOURCES["ServingRepository"]["UpdateReplacePolicy"] == "Retain"


def test_another_image_can_be_pulled_if_its_repository_is_named() -> None:
    conditional = [item["Fn::If"] for item in STATEMENTS["PullImages"]["Resource"] if "Fn::If" in item]
    parameter = TEMPLATE["Parameters"]["AdditionalImageRepository"]
    named = {"Ref": "AdditionalImageRepository"}
    assert conditional == [["HasAdditionalImageRepository", named, {"Ref": "AWS::NoValue"}]]
    for arn, accepted in (
        ("", True),
        ("arn:aws:ecr:eu-west-1:123456789012:repository/my-model", True),
        ("arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/model", True),
        ("*", False),
        ("arn:aws:ecr:eu-west-1:*:repository/my-model", False),
        ("arn:aws:s3:::bucket", False),
    ):
        assert bool(re.fullmatch(parameter["AllowedPattern"], arn)) is accepted, arn


@pytest.mark.parametrize(
    ("key", "days"),
    [
        ("capture/scones/AllTraffic/2026/11/23/07/00-00-000.jsonl", 90),
        ("training/data/scones-training-1/train/bicycle.tar", 7),
        ("training/input/scones-training-1/input/code/train.py", 7),
        ("training/scones-training-1/output/model.tar.gz", None),
        ("models/scones-1/model.tar.gz", None),
    ],
)
def test_what_expires_in_the_bucket(key: str, days: int | None) -> None:
    rules = RESOURCES["ModelBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = [rule for rule in rules if "ExpirationInDays" in rule and key.startswith(rule["Prefix"])]
    captures = {"Ref": "CaptureRetentionDays"}
    wanted: list[Any] = [] if days is None else [captures if key.startswith("capture/") else days]
    assert [rule["ExpirationInDays"] for rule in expiring] == wanted
    assert TEMPLATE["Parameters"]["CaptureRetentionDays"]["Default"] == "90"


def test_the_bucket_is_private_encrypted_and_outlives_the_stack() -> None:
    bucket = RESOURCES["ModelBucket"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketEncryption" in bucket["Properties"]
