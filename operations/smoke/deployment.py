"""What a smoke test does to a deployed stack, and how it leaves nothing behind."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operations.photos.listener import OutcomeListener
from operations.results import Record, ResultsTable
from operations.smoke.samples import Sample
from operations.stack import Stack

_POLL_S: Final = 2
_QUEUE_SCAN_LIMIT: Final = 200
_QUEUE_VISIBILITY_S: Final = 20


@dataclass(frozen=True)
class Upload:
    """A photo that was uploaded.

    Attributes:
        sample: the photo.
        key: its key in the photo bucket.
        uri: `s3://bucket/key`.
        version: of the object.
        started: time.monotonic() before the upload.
    """

    sample: Sample
    key: str
    uri: str
    version: str
    started: float


class Deployment:
    """A deployed stack as a smoke test uses it; `clean_up` removes what the test made.

    Args:
        stack: the deployed stack.
        listener: an entered subscription to its outcomes.
    """

    def __init__(self, stack: Stack, listener: OutcomeListener) -> None:
        self.stack = stack
        self.prefix = f"incoming/smoke/{uuid.uuid4().hex[:12]}/"
        self.bucket = stack.output("PhotoBucketName")
        self.state_machine = stack.output("ClassifyImageStateMachineArn")
        self.results = ResultsTable(stack)
        self.events: list[Mapping[str, Any]] = []
        self._listener = listener
        self._s3 = stack.client("s3")
        self._workflow = stack.client("stepfunctions")
        self._queue = stack.client("sqs")
        self._review_queue_url = stack.output("ReviewQueueUrl")

    def upload(self, sample: Sample, name: str = "") -> Upload:
        """Upload a sample under a key of this run."""
        key = self.prefix + (name or sample.name)
        started = time.monotonic()
        answer = self._s3.put_object(Bucket=self.bucket, Key=key, Body=sample.content, **sample.options)
        version = answer.get("VersionId") or answer["ETag"].strip('"')
        return Upload(sample, key, f"s3://{self.bucket}/{key}", version, started)

    def start(self, **photo: str) -> str:
        """Start the workflow for an object of the photo bucket; return the execution's ARN."""
        request = json.dumps({"s3_bucket": self.bucket, **photo})
        answer = self._workflow.start_execution(stateMachineArn=self.state_machine, input=request)
        return str(answer["executionArn"])

    def listen(self) -> None:
        """Collect the outcomes that were published since the last call; wait up to 2 seconds for one."""
        self.events += self._listener.receive(_POLL_S)

    def events_of(self, uri: str, version: str | None = None) -> list[Mapping[str, Any]]:
        """Return the published outcomes of a photo that arrived so far."""
        return [
            event
            for event in self.events
            if event["object_uri"] == uri and version in {None, event["object_version"]}
        ]

    def execution(self, arn: str) -> Mapping[str, Any] | None:
        """Return the answer of DescribeExecution; None for an Express workflow, which keeps no executions."""
        if ":express:" in arn:
            return None
        answer: Mapping[str, Any] = self._workflow.describe_execution(executionArn=arn)
        return answer

    def last_error(self, uri: str) -> str:
        """Return the last failure of the running execution of a photo; empty if there is none."""
        key = uri.removeprefix(f"s3://{self.bucket}/")
        with suppress(ClientError, BotoCoreError):
            running = self._workflow.list_executions(
                stateMachineArn=self.state_machine, statusFilter="RUNNING", maxResults=100
            )
            for execution in running["executions"]:
                described = self._workflow.describe_execution(executionArn=execution["executionArn"])
                if key in described["input"]:
                    return self._failure_in(execution["executionArn"])
        return ""

    def _failure_in(self, arn: str) -> str:
        history = self._workflow.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=50)
        for event in history["events"]:
            details = next(
                (value for name, value in event.items() if name.endswith("FailedEventDetails")), None
            )
            if details:
                return f"{details.get('error', '')}: {details.get('cause', '')}"[:500]
        return ""

    def review_messages(self) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Yield facts and receipt handle of this run's messages on the review queue.

        All other messages become visible again at once. At most 200 messages are looked at.
        """
        for _ in range(_QUEUE_SCAN_LIMIT // 10):
            answer = self._queue.receive_message(
                QueueUrl=self._review_queue_url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=_QUEUE_VISIBILITY_S,
                WaitTimeSeconds=1,
            )
            if not answer.get("Messages"):
                return
            for message in answer["Messages"]:
                facts = _facts(message["Body"])
                if f"/{self.prefix}" in str(facts.get("object_uri")):
                    yield facts, message["ReceiptHandle"]
                else:
                    self._queue.change_message_visibility(
                        QueueUrl=self._review_queue_url,
                        ReceiptHandle=message["ReceiptHandle"],
                        VisibilityTimeout=0,
                    )

    def dismiss(self, receipt: str) -> None:
        """Delete a message of the review queue."""
        self._queue.delete_message(QueueUrl=self._review_queue_url, ReceiptHandle=receipt)

    def clean_up(self) -> int:
        """Delete this run's objects in all versions, its records and its review messages; return how many."""
        for _, receipt in self.review_messages():
            self.dismiss(receipt)
        removed = 0
        records = {(event["object_uri"], event["object_version"]) for event in self.events}
        for page in self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        ):
            for one in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                self._s3.delete_object(Bucket=self.bucket, Key=one["Key"], VersionId=one["VersionId"])
                records.add((f"s3://{self.bucket}/{one['Key']}", one["VersionId"]))
                removed += 1
        for uri, version in records:
            if f"/{self.prefix}" in uri:
                self.results.delete(uri, version)
        return removed

    def record(self, upload: Upload) -> Record | None:
        """Return the record of an uploaded photo, if there is one yet."""
        return self.results.get(upload.uri, upload.version)


def _facts(body: str) -> Mapping[str, Any]:
    """Return what a review message says; nothing of one that is somebody else's."""
    try:
        facts = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
