"""Telling of outcomes: the event of each, and the review message of a doubtful photo, ten at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient
    from settings import Settings

# What the workflow publishes, in its order: statemachine/classify_image.asl.json, DescribeOutcome.
FACTS = (
    "object_uri",
    "object_version",
    "outcome",
    "label",
    "confidence",
    "threshold",
    "model_version",
    "error",
    "cause",
    "execution_arn",
    "started_at",
    "recorded_at",
)
_MOST_A_REQUEST = 10


class Announcements:
    """Publishes outcomes and requests reviews.

    Args:
        sqs: client of SQS.
        events: client of EventBridge.
        settings: names queue and bus.
    """

    def __init__(self, sqs: SQSClient, events: EventBridgeClient, settings: Settings) -> None:
        self._sqs, self._events, self._settings = sqs, events, settings

    def send(self, items: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[str]]:
        """Announce records; return those that were, and why others were not."""
        told: list[Mapping[str, Any]] = []
        problems: list[str] = []
        for start in range(0, len(items), _MOST_A_REQUEST):
            part = items[start : start + _MOST_A_REQUEST]
            refused = {**dict(self._request_reviews(part)), **dict(self._publish(part))}
            told += [item for number, item in enumerate(part) if number not in refused]
            problems += refused.values()
        return told, problems

    def _request_reviews(self, items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
        """Send the review messages; yield the position and the reason of each that was refused."""
        entries: list[Any] = [
            {"Id": str(number), "MessageBody": json.dumps(facts(item))}
            for number, item in enumerate(items)
            if item["undelivered"]["S"].startswith("review")
        ]
        if entries:
            answer = self._sqs.send_message_batch(QueueUrl=self._settings.review_queue_url, Entries=entries)
            for failed in answer.get("Failed", []):
                yield int(failed["Id"]), f"SQS: {failed.get('Code')}"

    def _publish(self, items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
        """Publish the events; yield the position and the reason of each that was refused."""
        answer = self._events.put_events(
            Entries=[
                {
                    "EventBusName": self._settings.event_bus,
                    "Source": "scones.vehicle-classification",
                    "DetailType": "Vehicle Classified",
                    "Detail": json.dumps(facts(item)),
                }
                for item in items
            ]
        )
        for number, entry in enumerate(answer["Entries"]):
            if "ErrorCode" in entry:
                yield number, f"EventBridge: {entry['ErrorCode']}"


def facts(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is published of a record: null where an attribute is missing."""
    return {name: _plain(item[name]) if name in item else None for name in FACTS}


def _plain(value: Mapping[str, str]) -> str | float:
    return float(value["N"]) if "N" in value else value["S"]
