"""Uploads photos and waits for the outcome of each, checked in every place that tells of it.

The results table is the record. An outcome counts only if the published event says the same and the execution
ended accordingly; anything else is reported as a problem, and so is a photo without an outcome.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operations.photos.listener import OutcomeListener
from operations.photos.outcome import Outcome, disagreement
from operations.photos.sources import Photo
from operations.results import Record, ResultsTable
from operations.stack import Stack

_POLL_S: Final = 1
_IN_FLIGHT_WHILE_COLD: Final = 2


@dataclass
class _Pending:
    """A photo that was uploaded, and the events about it."""

    photo: Photo
    uri: str
    version: str
    started: float
    events: list[Mapping[str, Any]] = field(default_factory=list)


class Watcher:
    """Sends photos to a deployed application and watches what becomes of them.

    Args:
        stack: the deployed stack.
        listener: an entered subscription to its outcomes.
        timeout_s: how long one photo may take.
        in_flight: how many photos may be on their way at a time.
    """

    def __init__(
        self, stack: Stack, listener: OutcomeListener, *, timeout_s: float = 180, in_flight: int = 6
    ) -> None:
        self._bucket = stack.output("PhotoBucketName")
        self._results = ResultsTable(stack)
        self._listener = listener
        self._timeout_s = timeout_s
        self._in_flight = in_flight
        self._s3 = stack.client("s3")
        self._workflow = stack.client("stepfunctions")
        self._pending: dict[tuple[str, str], _Pending] = {}

    def classify(self, photos: Sequence[Photo]) -> Iterator[Outcome]:
        """Send all photos and yield their outcomes as they come, exactly one for each."""
        waiting = list(photos)[::-1]
        total = len(waiting)
        while waiting or self._pending:
            # A cold function refuses a burst, which then waits out its retries: the first photos go alone.
            cold = len(waiting) + len(self._pending) == total
            while waiting and len(self._pending) < (_IN_FLIGHT_WHILE_COLD if cold else self._in_flight):
                refused = self._upload(waiting.pop())
                if refused:
                    yield refused
            if self._pending:
                self._receive()
            yield from self._settled()

    def _upload(self, photo: Photo) -> Outcome | None:
        """Upload a photo; return an outcome only if that fails."""
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
        for detail in self._listener.receive(_POLL_S):
            pending = self._pending.get((detail["object_uri"], detail["object_version"]))
            if pending:  # otherwise it is another sender's photo
                pending.events.append(detail)

    def _settled(self) -> Iterator[Outcome]:
        for key, pending in list(self._pending.items()):
            seconds = time.monotonic() - pending.started
            overdue = seconds > self._timeout_s
            if not (pending.events or overdue):
                continue
            record = self._results.get(pending.uri, pending.version)
            outcome = self._outcome(pending, record, seconds)
            if outcome is None and overdue:
                outcome = _overdue(pending, record, seconds)
            if outcome:
                del self._pending[key]
                yield outcome

    def _outcome(self, pending: _Pending, record: Record | None, seconds: float) -> Outcome | None:
        """Return the outcome; None while an execution or an event is still to come."""
        if not pending.events:
            return None
        event = pending.events[-1]
        if record:  # S3 may report an upload twice: the record is that of the later execution
            mine = [event for event in pending.events if event["execution_arn"] == record.execution_arn]
            if not mine:
                return None
            event = mine[-1]
        execution = self._execution(event["execution_arn"])
        if execution and execution["status"] == "RUNNING":
            return None
        return _as_outcome(pending, record, event, seconds, disagreement(record, event, execution))

    def _execution(self, arn: str) -> Mapping[str, Any] | None:
        """Return the answer of DescribeExecution; None for an Express workflow, which keeps no executions."""
        if ":express:" in arn:
            return None
        answer: Mapping[str, Any] = self._workflow.describe_execution(executionArn=arn)
        return answer


def _overdue(pending: _Pending, record: Record | None, seconds: float) -> Outcome:
    found = f"the results table says {record.outcome}" if record else "the results table has no record"
    heard = "came" if pending.events else "never came"
    problem = f"NoOutcome: after {seconds:.0f} s the event {heard}, and {found}"
    return _as_outcome(pending, record, {}, seconds, problem)


def _as_outcome(
    pending: _Pending, record: Record | None, event: Mapping[str, Any], seconds: float, problem: str
) -> Outcome:
    facts = record.as_json() if record else event
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
        execution_arn=facts.get("execution_arn"),
        threshold=facts.get("threshold"),
    )
