"""A stack with no more than what `scones model learn --from-desk` reads."""

import json

import boto3

BUCKET = "photos"
TABLE = "results"


def create(session: boto3.Session, endpoint: str = "endpoint", name: str = "scones") -> None:
    """Create it: a bucket of photos, a results table, and the name of an endpoint."""
    keys = {"object_uri": "HASH", "object_version": "RANGE"}
    table = {
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
        "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
    }
    resources = {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}},
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": table},
    }
    outputs = {"PhotoBucketName": BUCKET, "ResultsTableName": TABLE, "EndpointName": endpoint}
    template = {"Resources": resources, "Outputs": {key: {"Value": value} for key, value in outputs.items()}}
    session.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))


def record(session: boto3.Session, confidences: list[float]) -> None:
    """Record photos that were classified with these confidences, at the threshold 0.8."""
    for number, confidence in enumerate(confidences):
        item = {
            "object_uri": {"S": f"s3://{BUCKET}/incoming/{number}"},
            "object_version": {"S": "1"},
            "confidence": {"N": str(confidence)},
            "threshold": {"N": "0.8"},
        }
        session.client("dynamodb").put_item(TableName=TABLE, Item=item)
