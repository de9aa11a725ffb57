"""Uploads photos and waits for the outcome of each, checked in every place that tells of it.

The results table is the record. An outcome counts only when the published event says the same and the
execution ended accordingly; anything else is reported as a problem, and so is a photo without an outcome.
"""

import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from operations.photos.sources import Photo

OUTCOMES = ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED")
_EXECUTION_STATUS = {"ACCEPTED": "SUCCEEDED"} | dict.fromkeys(OUTCOMES[1:], "FAILED")
_POLL_S = 1
_IN_FLIGHT_WHILE_COLD = 2


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Attributes:
        file: The photo's name as the user gave it.
        s3_key: Its key in the photo bucket.
        outcome: One of OUTCOMES; None when none was found.
        label: The class, when there is one.
        confidence: Probability of that class, 0 to 1.
        error: Error name and what it says; None for an accepted photo.
        seconds: From the upload's start to the outcome.
        problem: What is wrong with the outcome itself; empty when all places agree.
    """

    file: str
    s3_key: str
    outcome: str | None
    label: str | None
    confidence: float | None
    error: str | None
    seconds: float
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """The line that `demo --json` prints."""
        return {
            "file": self.file,
            "s3_key": self.s3_key,
            "outcome": self.outcome,
            "label": self.label,
            "confidence": self.confidence,
            "error": self.problem or self.error,
            "seconds": round(self.seconds, 3),
        }


@dataclass
class _Pending:
    photo: Photo
    uri: str
    version: str
    started: float
    events: list[dict[str, Any]] = field(default_factory=list)


class Watcher:
    """Sends photos to a deployed application and watches what becomes of them.

    Listens with an SQS queue and an EventBridge rule of its own, removed when it is left.

    Args:
        outputs: The stack's outputs.
        timeout_s: How long a photo may take.
        in_flight: How many photos may be on their way at a time.
    """

    def __init__(self, outputs: Mapping[str, str], *, timeout_s: float = 180, in_flight: int = 6) -> None:
        self._bucket = outputs["PhotoBucketName"]
        self._table = outputs["ResultsTableName"]
        self._timeout_s = timeout_s
        self._in_flight = in_flight
        self._s3 = boto3.client("s3")
        self._sqs = boto3.client("sqs")
        self._events = boto3.client("events")
        self._dynamodb = boto3.client("dynamodb")
        self._workflow = boto3.client("stepfunctions")
        self._name = f"scones-outcomes-{uuid.uuid4().hex[:12]}"
        self._queue_url = ""
        self._pending: dict[tuple[str, str], _Pending] = {}

    def __enter__(self) -> Self:
        """Start to listen."""
        self._queue_url = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        queue_arn = self._sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        pattern = {"source": ["scones.vehicle-classification"], "detail-type": ["Vehicle Classified"]}
        self._events.put_rule(Name=self._name, EventPattern=json.dumps(pattern))
        self._events.put_targets(Rule=self._name, Targets=[{"Id": "queue", "Arn": queue_arn}])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening; when the cloud is gone already, so is what would be removed."""
        try:
            self._events.remove_targets(Rule=self._name, Ids=["queue"])
            self._events.delete_rule(Name=self._name)
            self._sqs.delete_queue(QueueUrl=self._queue_url)
        except (ClientError, BotoCoreError):
            if kind is None:
                raise

    def classify(self, photos: Sequence[Photo]) -> Iterator[Outcome]:
        """Send all photos and yield their outcomes as they come, exactly one for each."""
        waiting = list(photos)[::-1]
        total = len(waiting)
        while waiting or self._pending:
            # A cold function refuses a crowd, which then waits out its retries: the first photos go alone.
            cold = len(waiting) + len(self._pending) == total
            while waiting and len(self._pending) < (_IN_FLIGHT_WHILE_COLD if cold else self._in_flight):
                refused = self._upload(waiting.pop())
                if refused:
                    yield refused
            if self._pending:
                self._receive()
            yield from self._settled()

    def _upload(self, photo: Photo) -> Outcome | None:
        started = time.monotonic()
        try:
            answer = self._put(photo)
        except (OSError, ClientError, BotoCoreError) as error:
            text = f"not uploaded: {error}"
            return Outcome(photo.name, photo.key, None, None, None, None, time.monotonic() - started, text)
        version = answer.get("VersionId") or answer["ETag"].strip('"')
        uri = f"s3://{self._bucket}/{photo.key}"
        self._pending[uri, version] = _Pending(photo, uri, version, started)
        return None

    def _put(self, photo: Photo) -> Mapping[str, Any]:
        if problem := photo.problem():
            raise OSError(problem)
        with photo.path.open("rb") as body:
            answer: Mapping[str, Any] = self._s3.put_object(Bucket=self._bucket, Key=photo.key, Body=body)
            return answer

    def _receive(self) -> None:
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=_POLL_S
        )
        for message in answer.get("Messages", []):
            detail = json.loads(message["Body"])["detail"]
            pending = self._pending.get((detail["object_uri"], detail["object_version"]))
            if pending:  # else it is another sender's photo
                pending.events.append(detail)
            self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])

    def _settled(self) -> Iterator[Outcome]:
        for key, pending in list(self._pending.items()):
            seconds = time.monotonic() - pending.started
            outcome = None
            if pending.events:
                outcome = self._outcome(pending, seconds)
            if outcome is None and seconds > self._timeout_s:
                outcome = self._overdue(pending, seconds)
            if outcome:
                del self._pending[key]
                yield outcome

    def _outcome(self, pending: _Pending, seconds: float) -> Outcome | None:
        """The outcome, or None while the execution has yet to end."""
        record = self._record(pending)
        event = pending.events[0]
        arn = event["execution_arn"]
        execution = self._workflow.describe_execution(executionArn=arn)
        if execution["status"] == "RUNNING":
            return None
        problem = disagreement(record, event, execution)
        return _as_outcome(pending, record or event, seconds, problem)

    def _overdue(self, pending: _Pending, seconds: float) -> Outcome:
        record = self._record(pending)
        found = f"the results table says {record['outcome']}" if record else "the results table has no record"
        heard = "came" if pending.events else "never came"
        problem = f"NoOutcome: after {seconds:.0f} s the event {heard}, and {found}"
        return _as_outcome(pending, record or {}, seconds, problem)

    def _record(self, pending: _Pending) -> dict[str, Any] | None:
        answer = self._dynamodb.get_item(
            TableName=self._table,
            Key={"object_uri": {"S": pending.uri}, "object_version": {"S": pending.version}},
            ConsistentRead=True,
        )
        return plain(answer["Item"]) if "Item" in answer else None


def plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """A DynamoDB item of strings and numbers as ordinary values."""
    return {
        name: float(Decimal(value["N"])) if "N" in value else value.get("S") for name, value in item.items()
    }


def disagreement(record: Mapping[str, Any] | None, event: Mapping[str, Any], execution: Any) -> str:
    """What results table, event and execution tell differently; empty when they agree.

    Args:
        record: The item of the results table.
        event: The event's detail.
        execution: Answer of DescribeExecution.
    """
    if record is None:
        return f"NoRecord: the event says {event.get('outcome')}, the results table has no record"
    for name in ("outcome", "label", "confidence", "error", "execution_arn"):
        if not _same(record.get(name), event.get(name)):
            return (
                f"Disagreement: {name} is {record.get(name)!r} in the results table and "
                f"{event.get(name)!r} in the event"
            )
    expected = _EXECUTION_STATUS.get(str(record.get("outcome")))
    if execution["status"] != expected or execution.get("error") != record.get("error"):
        ended = f"{execution['status']} {execution.get('error') or ''}".strip()
        return f"Disagreement: recorded as {record.get('outcome')}, but the execution ended {ended}"
    return ""


def _same(one: Any, other: Any) -> bool:
    # Step Functions turns a number into a DynamoDB number by way of text with 15 digits.
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return bool(one == other)


def _as_outcome(pending: _Pending, facts: Mapping[str, Any], seconds: float, problem: str) -> Outcome:
    error = ": ".join(filter(None, [facts.get("error"), facts.get("cause")])) or None
    return Outcome(
        file=pending.photo.name,
        s3_key=pending.photo.key,
        outcome=facts.get("outcome"),
        label=facts.get("label"),
        confidence=facts.get("confidence"),
        error=error,
        seconds=seconds,
        problem=problem,
    )
