"""A small stack in moto with doubtful photos that wait for a person."""

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import ClientError
from PIL import Image

from operations.results import timestamp
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, TABLE, deployed_stack, put_record
from tests.support.photo_files import RED, encode

PHOTO: Final = encode(Image.new("RGB", (2000, 900), RED), "JPEG")
"""Larger than the desk shows it."""
_OURS: Final = {"source": ["scones.vehicle-classification"], "detail-type": ["Vehicle Classified"]}
_TO_REVIEW: Final = {
    "outcome": ["LOW_CONFIDENCE"],
    "reviewed": [{"exists": False}, False],
    "in_review": [{"exists": False}],
}


def review_stack() -> Stack:
    """Return a stack whose review queue is fed by events, and a queue that hears them all (see `events`)."""
    stack = deployed_stack()
    sqs, bus = stack.client("sqs"), stack.client("events")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("review", "dead", "heard")}
    for name, pattern in (("heard", _OURS), ("review", {**_OURS, "detail": _TO_REVIEW})):
        bus.put_rule(Name=name, EventPattern=json.dumps(pattern))
        arn = sqs.get_queue_attributes(QueueUrl=urls[name], AttributeNames=["QueueArn"])["Attributes"]
        bus.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
    more = {
        "ReviewQueueUrl": urls["review"],
        "ReviewDeadLetterQueueUrl": urls["dead"],
        "Heard": urls["heard"],
    }
    return replace(stack, outputs={**stack.outputs, **more, "ClassLabels": "bicycle,motorcycle"})


class Faults:
    """Lets calls of a stack's clients fail."""

    def __init__(self, stack: Stack) -> None:
        self._left: Counter[str] = Counter()
        for service in ("dynamodb", "events", "s3", "sqs"):
            stack.client(service).meta.events.register("before-call", self._before)

    def refuse(self, operation: str, times: int = 1) -> None:
        """Throttle the next calls of an operation."""
        self._left[operation] = times

    def _before(self, model: Any, **_: Any) -> None:
        if self._left[model.name]:
            self._left[model.name] -= 1
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "throttled"}}, model.name)


def put_doubtful(  # noqa: PLR0913 - one parameter for each thing that a test varies
    stack: Stack,
    key: str,
    *,
    outcome: str = "LOW_CONFIDENCE",
    confidence: float = 0.6,
    body: bytes | None = None,
    messages: int = 1,
    label: str = "bicycle",
    **more: str | float,
) -> str:
    """Upload a photo with its record and, if it is doubtful, its review messages; return its URI."""
    uri, s3 = f"s3://{BUCKET}/{key}", stack.client("s3")
    version = s3.put_object(Bucket=BUCKET, Key=key, Body=PHOTO if body is None else body)["VersionId"]
    facts: dict[str, Any] = {"object_version": version, "label": label, "confidence": confidence}
    facts |= {"threshold": 0.85, "execution_arn": "arn:e", "recorded_at": timestamp(datetime.now(UTC))}
    if outcome == "LOW_CONFIDENCE":
        facts["error"] = "THRESHOLD_CONFIDENCE_NOT_MET"
        for _ in range(messages):
            send(stack, {"object_uri": uri, "outcome": outcome, **facts})
    put_record(stack, key, outcome, outcome_rank=3, **facts, **more)
    return uri


def send(stack: Stack, body: Any, queue: str = "ReviewQueueUrl") -> None:
    """Send a message, as JSON unless it is text."""
    text = body if isinstance(body, str) else json.dumps(body)
    stack.client("sqs").send_message(QueueUrl=stack.output(queue), MessageBody=text)


def items(stack: Stack) -> list[dict[str, Any]]:
    """Return all records, without the desks' holds."""
    found = stack.client("dynamodb").scan(TableName=TABLE)["Items"]
    return [{name: item[name] for name in item.keys() - {"held_by", "held_until"}} for item in found]


def copies(stack: Stack) -> list[str]:
    """Return the keys of the labelled copies without their digests."""
    listed = stack.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="labelled/").get("Contents", [])
    return sorted(re.sub("/[0-9a-f]{12}-", "/", one["Key"]) for one in listed)


def messages(stack: Stack, queue: str = "ReviewQueueUrl") -> list[str]:
    """Return the photos of the visible messages; they are received."""
    return [one.get("detail", one)["object_uri"] for one in _received(stack, queue)]


def events(stack: Stack) -> list[dict[str, Any]]:
    """Return the details of the events that were published, in their order; each once."""
    return [one["detail"] for one in _received(stack, "Heard")]


def _received(stack: Stack, queue: str) -> list[Any]:
    sqs, url = stack.client("sqs"), stack.output(queue)
    found = []
    while answer := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in answer]
    return found
