"""The model's labels as a tag of its endpoint, for those that compare them with what they expect."""

import re
from collections.abc import Sequence
from typing import Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason

TAG: Final = "scones:labels"
MAX_TAG_VALUE: Final = 256
# What AWS allows in a tag's value, without the space that separates the labels.
_LABEL: Final = re.compile(r"[\w.:/=+\-@]+")


def tag_value(labels: Sequence[str] | None) -> str | None:
    """Return the labels separated by spaces; None if they are not known or a tag can't hold them."""
    value = " ".join(labels or ())
    if not value or len(value) > MAX_TAG_VALUE or not all(map(_LABEL.fullmatch, labels or ())):
        return None
    return value


def tag_endpoint(session: boto3.Session, arn: str, labels: Sequence[str] | None) -> str:
    """Set the tag to the labels of the version that serves, or remove it.

    Args:
        session: account and region.
        arn: the endpoint.
        labels: the model's labels in their order; None if they are not known.

    Returns:
        Why the tag could not be set, for a notice; empty if it was.
    """
    value = tag_value(labels)
    sagemaker = session.client("sagemaker")
    try:
        if value is None:
            sagemaker.delete_tags(ResourceArn=arn, TagKeys=[TAG])
        else:
            sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": TAG, "Value": value}])
    except (ClientError, BotoCoreError) as error:
        return f"the endpoint's tag {TAG} could not be set: {aws_reason(error)}"
    return ""


def read_tag(session: boto3.Session, arn: str) -> tuple[str, ...] | None:
    """Return the labels that the endpoint's tag names; None if it has none, or it can't be read."""
    try:
        tags = session.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]
    except (ClientError, BotoCoreError):
        return None
    return next((tuple(tag["Value"].split()) for tag in tags if tag["Key"] == TAG), None)
