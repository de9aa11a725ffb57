"""Uploads photos, listens for their outcomes, and compares every place that has them.

The results table is the record. An outcome counts only if the published event agrees and the execution ended
accordingly; anything else is reported as a problem, and so is a photo without an outcome.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operations.photos.listener import OutcomeListener
from operations.photos.outcome import Outcome, disagreement
from operations.photos.sources import Photo
from operations.results import Record, ResultsTable
from operations.stack import Stack

_POLL_S: Final = 1
_IN_FLIGHT: Final = 6
_IN_FLIGHT_WHILE_COLD: Final = 2

Event = Mapping[str, Any]
"""Detail of a published outcome."""


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
    """Sends photos to a deployed application and watches what becomes of them.

    Args:
        stack: the deployed stack.
        listener: an entered subscription to its outcomes.
        timeout_s: how long one photo may take.
    """

    def __init__(self, stack: Stack, listener: OutcomeListener, *, timeout_s: float = 180) -> None:
        self.stack = stack
        self.bucket = stack.output("PhotoBucketName")
        self.results = ResultsTable(stack)
        self.timeout_s = timeout_s
        self.waiting: Callable[[Sequence[Sent]], None] = lambda _pending: None  # called about every second
        self.unsent, self.pending = list[Photo](), list[Sent]()  # of `classify`
        self._listener = listener
        self._s3 = stack.client("s3")
        self._workflow = stack.client("stepfunctions")
        self._events: dict[tuple[str, str | None], list[Event]] = {}

    def upload(self, key: str, body: bytes | Path, name: str = "", **options: Any) -> Sent:
        """Upload a photo; may be called from several threads. `options` are more parameters of PutObject."""
        started = time.monotonic()
        uri = self.watch(key)
        if isinstance(body, Path):
            with body.open("rb") as file:
                answer = self._s3.put_object(Bucket=self.bucket, Key=key, Body=file, **options)
        else:
            answer = self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, **options)
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

    def execution(self, arn: str) -> Mapping[str, Any] | None:
        """Return the answer of DescribeExecution; None for an Express workflow, which keeps no executions."""
        if ":express:" in arn:
            return None
        answer: Mapping[str, Any] = self._workflow.describe_execution(executionArn=arn)
        return answer

    def listen(self, wait_s: int = _POLL_S) -> list[Event]:
        """Collect events of what is watched; wait for the first one."""
        heard = [
            event for event in self._listener.receive(wait_s) if (event["object_uri"], None) in self._events
        ]
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
        event = _event_of(record, sent.events)
        execution = self.execution(event["execution_arn"]) if event else None
        if event and (execution or {}).get("status") != "RUNNING":
            return _outcome(sent, record, event, disagreement(record, event, execution))
        if not overdue:
            return None
        recorded = f"has {record.outcome}" if record else "has no record"
        heard = "came" if sent.events else "never came"
        problem = (
            f"NoOutcome: after {sent.seconds():.0f} s the event {heard}, and the results table {recorded}"
        )
        return _outcome(sent, record, {}, problem)


def _event_of(record: Record | None, events: Sequence[Event]) -> Event | None:
    """Return the event of the recorded execution, the last one without a record; None if it is to come.

    S3 may report an upload twice: the record is then that of the later execution.
    """
    fitting = [event for event in events if not record or event["execution_arn"] == record.execution_arn]
    return fitting[-1] if fitting else None


def _outcome(sent: Sent, record: Record | None, event: Event, problem: str) -> Outcome:
    facts = record.as_json() if record else event
    error = ": ".join(filter(None, [facts.get("error"), facts.get("cause")])) or None
    names = ("outcome", "label", "confidence", "execution_arn", "started_at", "threshold", "neither")
    same = {name: facts.get(name) for name in names}
    return Outcome(
        file=sent.name, s3_key=sent.key, error=error, seconds=sent.seconds(), problem=problem, **same
    )
