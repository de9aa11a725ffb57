"""Start photos again: those with an outcome that is not final, and those without any."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from commandline.polling import Rhythm, poll
from commandline.terminal import say
from operations.photos.traces import retained
from operations.results import Record, ResultsTable
from operations.stack import Stack

# Errors with which a photo is REJECTED (statemachine/classify_image.asl.json).
REJECTIONS = ("ObjectNotFound", "ObjectTooLarge", "UnsupportedImage", "ImageTooLarge", "ImageTooCostly")
_WAIT_S: Final = 2  # long polling asks all of SQS's servers; short polling may find none of the messages
_RHYTHM: Final = Rhythm(shortest_pause=0.5, longest_pause=5)


@dataclass(frozen=True)
class Start:
    """An execution to start; `receipt` is of the undelivered event's message, which is deleted then."""

    input: Mapping[str, Any]
    photo: str
    receipt: str | None = None


@dataclass(frozen=True)
class Redriven:
    """What became of an execution that was started; without outcome while it runs."""

    photo: str
    execution_arn: str
    outcome: str | None = None
    error: str | None = None


def recorded(table: ResultsTable, outcome: str, since: datetime) -> Iterator[Start]:
    """Yield an execution for each photo with an outcome since a time, to reclassify what is not FAILED."""
    again = {} if outcome == "FAILED" else {"reclassify": True}
    for record in table.find(since, outcome=outcome):
        photo = {"s3_bucket": record.object_uri.split("/")[2], "s3_key": record.key}
        if record.object_version != "unversioned":
            photo["version_id"] = record.object_version
        yield Start({**photo, **again}, record.object_uri)


def without_outcome(stack: Stack, table: ResultsTable, since: datetime, before: datetime) -> Iterator[Start]:
    """Yield an execution for each photo of a time without a record; a second execution changes nothing."""
    bucket = stack.output("PhotoBucketName")
    versions = (
        (f"s3://{bucket}/{one['Key']}", one["VersionId"])
        for one in retained(stack)
        if since <= one["LastModified"] < before
    )
    for uri, version in table.missing(versions):
        key = uri.removeprefix(f"s3://{bucket}/")
        yield Start({"s3_bucket": bucket, "s3_key": key, "version_id": version}, uri)


def send_to_review(stack: Stack, photos: Iterable[Record]) -> Iterator[Record]:
    """Put photos on the review queue again, for messages that were lost; a desk drops a second one."""
    url = stack.output("ReviewQueueUrl")
    for record in photos:
        body = {"object_uri": record.object_uri, "object_version": record.object_version}
        stack.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(body))
        yield record


def undelivered_uploads(stack: Stack) -> Iterator[Start]:
    """Yield an execution for each upload event that started none and waits in `UndeliveredEventsQueue`."""
    url = stack.output("UndeliveredEventsQueueUrl")
    request = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": _WAIT_S}
    while messages := stack.client("sqs").receive_message(**request).get("Messages"):
        for message in messages:
            try:
                event = json.loads(message["Body"])
                photo = event.get("detail", {}).get("object", {}).get("key", "")
            except (ValueError, AttributeError, RecursionError):
                say(f"message {message['MessageId']} of the undelivered events is left alone: it is no event")
                continue
            yield Start(event, str(photo or "an undelivered event"), message["ReceiptHandle"])


def start(stack: Stack, starts: Iterable[Start], rate: float) -> Iterator[Redriven]:
    """Start executions, so many a second, and yield each when it is started."""
    workflow, machine = stack.client("stepfunctions"), stack.output("ClassifyImageStateMachineArn")
    for number, one in enumerate(starts):
        if number:
            time.sleep(1 / rate)
        answer = workflow.start_execution(stateMachineArn=machine, input=json.dumps(one.input))
        if one.receipt:
            url = stack.output("UndeliveredEventsQueueUrl")
            stack.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=one.receipt)
        yield Redriven(one.photo, answer["executionArn"])


def follow(stack: Stack, started: Iterable[Redriven], timeout_s: float) -> Iterator[Redriven]:
    """Yield what became of STANDARD executions, each when it has ended, or as it is at the timeout."""
    workflow, deadline = stack.client("stepfunctions"), time.monotonic() + timeout_s
    for one in started:
        answer = poll(
            partial(workflow.describe_execution, executionArn=one.execution_arn),
            until=lambda answer: answer["status"] != "RUNNING" or time.monotonic() > deadline,
            timeout_seconds=timeout_s + 60,
            rhythm=_RHYTHM,
        )
        yield ended(one, answer)


def ended(started: Redriven, answer: Mapping[str, Any]) -> Redriven:
    """Return what became of an execution by the answer of DescribeExecution: its error names the outcome."""
    status, error = answer["status"], answer.get("error")
    if status == "RUNNING":
        return started
    if status == "SUCCEEDED":
        return replace(started, outcome="ACCEPTED")
    outcome = "REJECTED" if error in REJECTIONS else "FAILED"
    if error == "THRESHOLD_CONFIDENCE_NOT_MET":
        outcome = "LOW_CONFIDENCE"
    return replace(started, outcome=outcome, error=error or status)
