"""A small stack in moto with doubtful photos that wait for a person."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from operations.stack import Stack
from tests.support.aws_stack import BUCKET, deployed_stack, put_record


def review_stack() -> Stack:
    """Return a stack with a review queue, and a queue that hears the events (see `events`)."""
    stack = deployed_stack()
    sqs, bus = stack.client("sqs"), stack.client("events")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("review", "heard")}
    bus.put_rule(Name="heard", EventPattern=json.dumps({"source": ["scones.vehicle-classification"]}))
    arn = sqs.get_queue_attributes(QueueUrl=urls["heard"], AttributeNames=["QueueArn"])["Attributes"]
    bus.put_targets(Rule="heard", Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
    more = {"ReviewQueueUrl": urls["review"], "ClassLabels": "bicycle,motorcycle", "Heard": urls["heard"]}
    return replace(stack, outputs={**stack.outputs, **more})


def put_doubtful(  # noqa: PLR0913 - one parameter for each thing that a test varies
    stack: Stack,
    key: str,
    *,
    outcome: str = "LOW_CONFIDENCE",
    confidence: float = 0.6,
    body: bytes | None = None,
    record: bool = True,
) -> str:
    """Upload a photo with its record and, if it is doubtful, its review message; return its URI."""
    uri, s3 = f"s3://{BUCKET}/{key}", stack.client("s3")
    if record:
        file = io.BytesIO()
        Image.new("RGB", (2000, 900), (200, 30, 30)).save(file, "JPEG")
        content = file.getvalue() if body is None else body
        version = s3.put_object(Bucket=BUCKET, Key=key, Body=content)["VersionId"]
    else:
        version = s3.head_object(Bucket=BUCKET, Key=key)["VersionId"]
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    facts: dict[str, Any] = {
        "object_version": version,
        "label": "bicycle",
        "confidence": confidence,
        "threshold": 0.85,
        "execution_arn": "arn:execution",
        "recorded_at": now,
    }
    if outcome == "LOW_CONFIDENCE":
        facts["error"] = "THRESHOLD_CONFIDENCE_NOT_MET"
        message = {"object_uri": uri, "outcome": outcome, **facts}
        url = stack.output("ReviewQueueUrl")
        stack.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(message))
    if record:
        put_record(stack, key, outcome, outcome_rank=3, **facts)
    return uri


def events(stack: Stack) -> list[dict[str, Any]]:
    """Return the details of the events that were published, in their order; each once."""
    sqs, url = stack.client("sqs"), stack.output("Heard")
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"])["detail"] for message in messages]
    return found
