"""A small deployed stack in moto: photo bucket, results table, and the outputs that name them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import boto3
from moto.s3.models import s3_backends

from operations.stack import Stack

STACK_NAME: Final = "scones"
BUCKET: Final = "photos"
TABLE: Final = "results"
_WORKFLOW: Final = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
_OUTPUTS: Final = {"PhotoBucketName": BUCKET, "ResultsTableName": TABLE}


def deployed_stack() -> Stack:
    """Create what the commands use of a stack in the active moto, without CloudFormation, which is slow."""
    session = boto3.Session()
    s3 = session.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    session.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"}
            for name in ("object_uri", "object_version", "outcome_day", "recorded_at")
        ],
        KeySchema=[
            {"AttributeName": "object_uri", "KeyType": "HASH"},
            {"AttributeName": "object_version", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-outcome",
                "KeySchema": [
                    {"AttributeName": "outcome_day", "KeyType": "HASH"},
                    {"AttributeName": "recorded_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    return Stack(STACK_NAME, _OUTPUTS, session)


def with_workflow(stack: Stack) -> Stack:
    """Add a workflow and the queue of undelivered events to a deployed stack."""
    machine = stack.client("stepfunctions").create_state_machine(
        name="classify", definition=json.dumps(_WORKFLOW), roleArn="arn:aws:iam::123456789012:role/workflow"
    )
    queue = stack.client("sqs").create_queue(QueueName="undelivered")
    more = {
        "ClassifyImageStateMachineArn": machine["stateMachineArn"],
        "UndeliveredEventsQueueUrl": queue["QueueUrl"],
    }
    return replace(stack, outputs={**stack.outputs, **more})


def upload(stack: Stack, key: str, body: bytes = b"photo", days_ago: int = 0) -> str:
    """Upload a photo, some days ago; return its version."""
    version: str = stack.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"]
    stored = s3_backends["123456789012"]["aws"].buckets[BUCKET].keys.getlist(key)
    (one,) = (one for one in stored if one.version_id == version)
    one.last_modified = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days_ago)
    return version


def create_in_cloudformation(
    outputs: dict[str, str] = _OUTPUTS, parameters: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Create a stack with these outputs and parameters, so that it can be looked up by its name."""
    template: dict[str, Any] = {
        "Parameters": {name: {"Type": "String", "Default": value} for name, value in parameters.items()},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    boto3.client("cloudformation").create_stack(StackName=STACK_NAME, TemplateBody=json.dumps(template))


def put_record(stack: Stack, key: str, outcome: str, **more: str | float) -> None:
    """Write a record as the workflow does: texts and numbers, what does not apply is left out."""
    facts = {
        "object_uri": f"s3://{BUCKET}/{key}",
        "object_version": "v1",
        "outcome": outcome,
        "recorded_at": "2026-11-25T10:00:00.000Z",
        **more,
    }
    facts.setdefault("outcome_day", outcome)
    item = {name: {"S": v} if isinstance(v, str) else {"N": str(v)} for name, v in facts.items()}
    stack.client("dynamodb").put_item(TableName=TABLE, Item=item)
