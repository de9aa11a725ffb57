"""What became of photos: records, events, review messages, dead letters, alarms; and the table of it."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from operations.__main__ import main
from tests.support.local_cloud import Listener, LocalCloud, environment_of

OUTCOME_EVENTS = {"source": ["scones.vehicle-classification"], "detail-type": ["Vehicle Classified"]}


@dataclass
class Seen:
    """What was seen of one photo key.

    Attributes:
        outcomes: `outcome error` of each record, by the order of versions' recording.
        events: outcomes that were published.
        reviews: review messages.
        letters: undelivered events in the dead-letter queue.
        alarms: alarms that would be raised.
        hits: calls that the faults hit.
        seconds: from the upload to the end.
    """

    outcomes: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    reviews: int = 0
    letters: int = 0
    alarms: list[str] = field(default_factory=list)
    hits: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Line:
    """A line of the table."""

    fault: str
    expected: str
    seen: str
    seconds: float
    alarms: int
    hits: int


class Observer:
    """Hears what a local cloud publishes, and sends for review.

    Args:
        cloud: the local cloud.
    """

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.lines: list[Line] = []
        self._ended: dict[str, dict[str, Any]] = {}
        self._events = Listener(cloud).to_events(OUTCOME_EVENTS)
        self._reviews = Listener(cloud, cloud.outputs["ReviewQueueUrl"])

    def uri(self, key: str) -> str:
        """Return the URI of a photo."""
        return f"s3://{self.cloud.outputs['PhotoBucketName']}/{key}"

    def see(self, key: str, started: float) -> Seen:
        """Return what there is of a photo now."""
        uri = self.uri(key)
        records = sorted(self.cloud.records(key), key=lambda one: str(one["recorded_at"]))
        events = [one["detail"] for one in self._events.messages() if one["detail"]["object_uri"] == uri]
        reviews = [one for one in self._reviews.messages() if one["object_uri"] == uri]
        letters = self._letters(key)
        file_hits = _faults(self.cloud).hits()
        seen = Seen(
            outcomes=[f"{one['outcome']} {one.get('error') or ''}".strip() for one in records],
            events=[one["outcome"] for one in events],
            reviews=len(reviews),
            letters=letters,
            hits=sum(file_hits.values()),
            seconds=time.monotonic() - started,
        )
        seen.alarms = self._alarms(key, seen)
        return seen

    def _letters(self, key: str) -> int:
        """Count a photo's undelivered events, and leave them in their queue."""
        sqs, url = self.cloud.client("sqs"), self.cloud.outputs["UndeliveredEventsQueueUrl"]
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        bodies = [json.loads(one["Body"]) for one in found.get("Messages", [])]
        return sum(body["detail"]["object"]["key"] == key for body in bodies)

    def _alarms(self, key: str, seen: Seen) -> list[str]:
        """Return the alarms that what was seen raises (tests/contract/test_contract_monitoring.py)."""
        ended = [one for one in self.executions(key) if one["status"] != "SUCCEEDED"]
        untold = [one for one in ended if without_outcome(one)]
        raised = {
            "FailedPhotosAlarm": "FAILED" in seen.events,
            "PhotosWithoutOutcomeAlarm": bool(untold),
            "UndeliveredEventsAlarm": seen.letters > 0,
        }
        return [name for name, value in raised.items() if value]

    def executions(self, key: str) -> list[dict[str, Any]]:
        """Return the executions of a photo that there were so far."""
        workflow = self.cloud.client("stepfunctions")
        arn = self.cloud.outputs["ClassifyImageStateMachineArn"]
        pages = workflow.get_paginator("list_executions").paginate(stateMachineArn=arn)
        arns = [one["executionArn"] for page in pages for one in page["executions"]]
        for one in arns:
            if self._ended.get(one, {}).get("status") in {None, "RUNNING"}:
                self._ended[one] = workflow.describe_execution(executionArn=one)
        return [one for one in self._ended.values() if _key(json.loads(one["input"])) == key]

    def all_reviews(self) -> list[dict[str, Any]]:
        """Return the review messages that there were so far."""
        return self._reviews.messages()

    def redrive(self, *options: str) -> None:
        """Run `operations redrive`, with which operators mend what a fault has left."""
        with environment_of(self.cloud.running):
            main(["redrive", "--rate", "100", "--older-than", "1s", "--json", *options])

    def write(self, path: Path) -> None:
        """Write the table."""
        head = "| fault | expected | seen | seconds | alarms | calls hit |\n|---|---|---|---|---|---|\n"
        rows = "".join(
            f"| {one.fault} | {one.expected} | {one.seen} | {one.seconds:.1f} | {one.alarms} | {one.hits} |\n"
            for one in self.lines
        )
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + rows, encoding="utf-8")


def without_outcome(execution: Mapping[str, Any]) -> bool:
    """Return whether PhotosWithoutOutcomeAlarm counts an execution."""
    error = execution.get("error") or ""
    stopped = execution["status"] in {"ABORTED", "TIMED_OUT"}
    return stopped or error == "OutcomeNotDelivered" or error.startswith("States.")


def _faults(cloud: LocalCloud) -> Any:
    from localcloud.state import StateFolder  # noqa: PLC0415

    return StateFolder(cloud.folder).faults


def _key(start: Mapping[str, Any]) -> Any:
    detail = start.get("detail")
    return detail["object"]["key"] if detail else start.get("s3_key")
