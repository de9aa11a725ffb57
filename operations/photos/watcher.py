"""Uploads photos, subscribes to their outcomes for a while, and compares every place that has them.

The results table is the record. An outcome counts only if the published event agrees and the execution ended
accordingly; anything else is reported as a problem, and so is a photo without an outcome.
"""

import io
import json
import math
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from commandline.errors import CommandError
from commandline.polling import PollingTimeoutError, poll
from operations.executions import is_express
from operations.outcomes import DETAIL_TYPE, OUTCOMES, SOURCE, guess
from operations.photos.sources import Photo
from operations.results import Record, ResultsTable
from operations.stack import Stack

_IN_FLIGHT: Final = 6
_IN_FLIGHT_WHILE_COLD: Final = 2
_PROBE_SOURCE: Final = "scones.operations"
_PROBE_TYPE: Final = "Listener Probe"
_READY_TIMEOUT_S: Final = 60
_EXECUTION_STATUS: Final = {"ACCEPTED": "SUCCEEDED"} | dict.fromkeys(OUTCOMES[1:], "FAILED")

Event = Mapping[str, Any]
"""Detail of a published outcome."""


class OutcomeListener:
    """Receives the outcomes that are published while it is entered.

    It is an SQS queue and an EventBridge rule of its own, both removed when it is left. A new rule can take a
    while to become effective, so entering it waits until an event that it sends itself arrives.
    """

    def __init__(self, stack: Stack) -> None:
        self._bucket_uri = f"s3://{stack.output('PhotoBucketName')}/"
        self._sqs, self._events = stack.client("sqs"), stack.client("events")
        self._name = f"scones-outcomes-{uuid.uuid4().hex[:12]}"
        self._queue_url = ""
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        """Subscribe; CommandError if no event arrives."""
        try:
            self._subscribe()
            self._wait_until_ready()
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove queue and rule; a failure to do so does not hide the error that led here."""
        with suppress(ClientError, BotoCoreError) if kind else nullcontext():
            self._cleanup.close()

    def receive(self, wait_s: int) -> Iterator[Mapping[str, Any]]:
        """Yield the details of outcomes that have arrived, each once; wait 0 to 20 seconds for the first."""
        request = {"QueueUrl": self._queue_url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait_s}
        for message in self._sqs.receive_message(**request).get("Messages", []):
            event = json.loads(message["Body"])
            self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
            if event["source"] == SOURCE or event["detail"]["probe"] == self._name:
                yield event["detail"]

    def _subscribe(self) -> None:
        name, url = self._name, self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        self._queue_url = url
        self._cleanup.callback(self._sqs.delete_queue, QueueUrl=url)
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        queue = answer["Attributes"]["QueueArn"]
        pattern = {
            "source": [SOURCE, _PROBE_SOURCE],
            "detail-type": [DETAIL_TYPE, _PROBE_TYPE],
            "detail": {"object_uri": [{"prefix": self._bucket_uri}]},
        }
        rule = self._events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        self._cleanup.callback(self._events.delete_rule, Name=name)
        statement = {  # without it, EventBridge may not deliver to the queue
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self._events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue}])
        self._cleanup.callback(self._events.remove_targets, Rule=name, Ids=["queue"])

    def _wait_until_ready(self) -> None:
        detail = json.dumps({"object_uri": self._bucket_uri, "probe": self._name})
        probe = {"Source": _PROBE_SOURCE, "DetailType": _PROBE_TYPE, "Detail": detail}

        def probe_arrives() -> bool:
            self._events.put_events(Entries=[probe])
            return any("probe" in detail for detail in self.receive(wait_s=1))

        try:
            poll(probe_arrives, until=bool, timeout_seconds=_READY_TIMEOUT_S)
        except PollingTimeoutError as error:
            raise CommandError(
                f"no event reached the queue {self._name} within {_READY_TIMEOUT_S} s: try again; if that "
                "does not help, see whether the account lets EventBridge send to SQS"
            ) from error


@dataclass(frozen=True)
class Outcome:
    """The outcome of one photo; `problem` is why it cannot be relied on, empty if all sources agree."""

    file: str
    s3_key: str
    outcome: str | None
    label: str | None
    confidence: float | None
    error: str | None
    seconds: float
    problem: str = ""
    execution_arn: str | None = None
    started_at: str | None = None
    threshold: float | None = None
    neither: float | None = None

    @property
    def guess(self) -> tuple[str, float | None]:
        """What the model takes the photo for, and its probability."""
        return guess(self.outcome, self.label, self.confidence, self.neither)

    def as_json(self) -> dict[str, Any]:
        """Return the members of the line that `send --json` prints."""
        names = ("file", "s3_key", "outcome", "label", "confidence")
        error, seconds = self.problem or self.error, round(self.seconds, 3)
        return {**{name: getattr(self, name) for name in names}, "error": error, "seconds": seconds}


def succeeded(outcomes: Iterable[Outcome]) -> bool:
    """Return whether every photo has an outcome that all sources agree on, and none is FAILED."""
    return all(not o.problem and o.outcome in OUTCOMES and o.outcome != "FAILED" for o in outcomes)


def disagreement(record: Record | None, event: Event, execution: Mapping[str, Any] | None) -> str:
    """Return what results table, event and execution say differently; empty if they agree."""
    if record is None:
        return f"NoRecord: the event has {event.get('outcome')}, the results table has no record"
    for name in ("outcome", "label", "confidence", "error", "execution_arn"):
        recorded, published = getattr(record, name), event.get(name)
        # Step Functions writes a number as text of 15 digits before DynamoDB gets it.
        if isinstance(recorded, float) and isinstance(published, float):
            agree = math.isclose(recorded, published, rel_tol=1e-12)
        else:
            agree = recorded == published
        if not agree:
            return f"Disagreement: {name} is {recorded!r} in the results table and {published!r} in the event"
    expected = _EXECUTION_STATUS.get(record.outcome)
    if execution and (execution["status"] != expected or execution.get("error") != record.error):
        ended = f"{execution['status']} {execution.get('error') or ''}".strip()
        return f"Disagreement: recorded as {record.outcome}, but the execution ended {ended}"
    return ""


@dataclass
class Sent:
    """A version of a photo that was uploaded; `started` is time.monotonic() before that."""

    name: str
    key: str
    uri: str
    version: str
    started: float
    events: list[Event] = field(default_factory=list)

    def seconds(self) -> float:
        """Return the seconds since the upload began."""
        return time.monotonic() - self.started


class Watcher:
    """Sends photos to a deployed application, `timeout_s` for each, and watches what becomes of them."""

    def __init__(self, stack: Stack, listener: OutcomeListener, *, timeout_s: float = 180) -> None:
        self.stack = stack
        self.bucket = stack.output("PhotoBucketName")
        self.results = ResultsTable(stack)
        self.timeout_s = timeout_s
        self.waiting: Callable[[Sequence[Sent]], None] = lambda _pending: None  # called about every second
        self.unsent, self.pending = list[Photo](), list[Sent]()  # of `classify`
        self._listener = listener
        self._s3, self._workflow = stack.client("s3"), stack.client("stepfunctions")
        self._events: dict[tuple[str, str | None], list[Event]] = {}

    def upload(self, key: str, body: bytes | Path, name: str = "", **options: Any) -> Sent:
        """Upload a photo; may be called from several threads. `options` are more parameters of PutObject."""
        started = time.monotonic()
        uri = self.watch(key)
        with body.open("rb") if isinstance(body, Path) else io.BytesIO(body) as file:
            answer = self._s3.put_object(Bucket=self.bucket, Key=key, Body=file, **options)
        version = answer.get("VersionId") or answer["ETag"].strip('"')
        return Sent(name or key, key, uri, version, started, self.events(uri, version))

    def watch(self, key: str) -> str:
        """Collect the events about a key from now on; returns its URI."""
        uri = f"s3://{self.bucket}/{key}"
        self.events(uri)
        return uri

    def events(self, uri: str, version: str | None = None) -> list[Event]:
        """Return the list of the events about a photo, or about one version of it; it grows."""
        return self._events.setdefault((uri, version), [])

    def start(self, key: str, version: str | None = None) -> str:
        """Start the workflow as a repeated event would; returns the execution's ARN."""
        photo = {"s3_bucket": self.bucket, "s3_key": key} | ({"version_id": version} if version else {})
        machine = self.stack.output("ClassifyImageStateMachineArn")
        answer = self._workflow.start_execution(stateMachineArn=machine, input=json.dumps(photo))
        return str(answer["executionArn"])

    def listen(self) -> list[Event]:
        """Collect events of what is watched; wait a second for the first one."""
        heard = [one for one in self._listener.receive(1) if (one["object_uri"], None) in self._events]
        for event in heard:
            self.events(event["object_uri"]).append(event)
            self.events(event["object_uri"], event["object_version"]).append(event)
        return heard

    def wait(self, holds: Callable[[], Any], seconds: float) -> bool:
        """Listen until a condition holds; return whether it does."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                return False
            self.listen()
        return True

    def classify(self, photos: Sequence[Photo]) -> Iterator[Outcome]:
        """Send all photos and yield their outcomes as they come, exactly one for each."""
        self.unsent, self.pending = list(photos), []
        unsent, pending = self.unsent, self.pending
        while unsent or pending:
            # A cold function refuses a burst, which then waits out its retries: the first photos go alone.
            cold = len(unsent) + len(pending) == len(photos)
            while unsent and len(pending) < (_IN_FLIGHT_WHILE_COLD if cold else _IN_FLIGHT):
                sent = self._send(unsent[0])
                del unsent[0]  # not before: an interrupted upload sent nothing
                if isinstance(sent, Outcome):
                    yield sent
                else:
                    pending.append(sent)
            if pending:
                self.listen()
                self.waiting(pending)
            for sent in list(pending):
                if outcome := self.outcome(sent):
                    pending.remove(sent)
                    yield outcome

    def _send(self, photo: Photo) -> Sent | Outcome:
        """Upload a photo; return an outcome only if that fails."""
        started, problem = time.monotonic(), photo.problem()
        try:
            if not problem:
                return self.upload(photo.key, photo.path, photo.name)
        except (OSError, ClientError, BotoCoreError) as error:
            problem = str(error)
        seconds, text = time.monotonic() - started, f"not uploaded: {problem}"
        return Outcome(photo.name, photo.key, None, None, None, None, seconds, text)

    def outcome(self, sent: Sent) -> Outcome | None:
        """Return what became of a photo; None while an execution or an event is still to come."""
        overdue = sent.seconds() > self.timeout_s
        if not (sent.events or overdue):
            return None
        record = self.results.get(sent.uri, sent.version)
        # S3 may report an upload twice: the record is then that of the later execution.
        arns = {record.execution_arn} if record else {event["execution_arn"] for event in sent.events}
        event = next((event for event in reversed(sent.events) if event["execution_arn"] in arns), None)
        arn, execution = event["execution_arn"] if event else "", None
        if event and not is_express(arn):  # EXPRESS keeps no executions
            execution = self._workflow.describe_execution(executionArn=arn)
        if event and (execution or {}).get("status") != "RUNNING":
            problem = disagreement(record, event, execution)
        elif overdue:
            heard = f"after {sent.seconds():.0f} s the event {'came' if sent.events else 'never came'}"
            recorded = f"has {record.outcome}" if record else "has no record"
            event, problem = {}, f"NoOutcome: {heard}, and the results table {recorded}"
        else:
            return None
        facts = record.as_json() if record else event
        error = ": ".join(filter(None, [facts.get("error"), facts.get("cause")])) or None
        names = ("outcome", "label", "confidence", "execution_arn", "started_at", "threshold", "neither")
        same = {name: facts.get(name) for name in names}
        return Outcome(
            file=sent.name, s3_key=sent.key, error=error, seconds=sent.seconds(), problem=problem, **same
        )
