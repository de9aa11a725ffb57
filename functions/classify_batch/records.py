"""The records of a batch's photos: which exist, and writing those that are new.

A record is the one that statemachine/classify_image.asl.json writes, under the same condition;
tests/contract/test_contract_batch.py compares the two.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from pipeline import Result
    from settings import Settings

RANK = {"FAILED": 1, "REJECTED": 2, "LOW_CONFIDENCE": 3, "ACCEPTED": 3}
CONDITION = (
    "attribute_not_exists(object_uri) OR "
    "(attribute_not_exists(decided_by) AND (outcome_rank < :rank OR execution_arn = :execution))"
)
_ANY_RANK = 9
_LONGEST_URI, _LONGEST_CAUSE = 1100, 1000
_KEYS_A_REQUEST = 100
_SHARDS = 4
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Photo:
    """One version of a photo."""

    key: str
    version_id: str


@dataclass(frozen=True)
class Batch:
    """Photos of one bucket, and how they are to be treated.

    Attributes:
        bucket: of the photos.
        photos: the photos.
        execution_arn: the execution that classifies them.
        started_at: when it began.
        reclassify: whether outcomes that there are may be replaced, people's decisions excepted.
        announce: whether outcomes are published, and doubtful photos sent for review.
    """

    bucket: str
    photos: tuple[Photo, ...]
    execution_arn: str
    started_at: str
    reclassify: bool = False
    announce: bool = True

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Batch:
        """Read the function's input."""
        common = event["BatchInput"]
        photos = (Photo(item["key"], item["version_id"]) for item in event["Items"])
        return cls(
            common["bucket"],
            tuple(dict.fromkeys(photos)),
            event["execution_arn"],
            event["started_at"],
            reclassify=common.get("reclassify") is True,
            announce=common.get("announce") is not False,
        )

    def uri(self, photo: Photo) -> str:
        """Return a photo's URI as it is recorded."""
        return f"s3://{self.bucket}/{photo.key}"[:_LONGEST_URI]


class Records:
    """The results table.

    Args:
        client: of DynamoDB.
        settings: names the table.
    """

    def __init__(self, client: DynamoDBClient, settings: Settings) -> None:
        self._client, self._table, self._settings = client, settings.results_table, settings

    def known(self, batch: Batch) -> dict[Photo, dict[str, Any]]:
        """Return the records that there are of a batch's photos."""
        found: dict[Photo, dict[str, Any]] = {}
        names = {(batch.uri(photo), photo.version_id): photo for photo in batch.photos}
        for part in _parts(list(names)):
            keys = [{"object_uri": {"S": uri}, "object_version": {"S": version}} for uri, version in part]
            request: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
            while request:
                answer = self._client.batch_get_item(RequestItems=request)
                for item in answer["Responses"].get(self._table, []):
                    found[names[item["object_uri"]["S"], item["object_version"]["S"]]] = item
                request = answer.get("UnprocessedKeys")
        return found

    def wanted(self, batch: Batch, record: Mapping[str, Any] | None) -> bool:
        """Return whether a photo is to be classified: it has no outcome, or one that may be replaced."""
        if record is None:
            return True
        if "decided_by" in record or self.own(batch, record):
            return False
        return batch.reclassify or record["outcome"]["S"] == "FAILED"

    def own(self, batch: Batch, record: Mapping[str, Any]) -> bool:
        """Return whether an earlier attempt at the batch has written a record."""
        return bool(record.get("execution_arn", {}).get("S") == batch.execution_arn)

    def write(self, batch: Batch, photo: Photo, result: Result) -> bool:
        """Record an outcome, unless the record there has the same or a higher rank; return whether it was."""
        item = self._item(batch, photo, result)
        rank = _ANY_RANK if batch.reclassify else RANK[result.outcome]
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression=CONDITION,
                ExpressionAttributeValues={
                    ":rank": {"N": str(rank)},
                    ":execution": {"S": batch.execution_arn},
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        result.item = item
        return True

    def delivered(self, item: Mapping[str, Any]) -> None:
        """Remove the note from a record that it was not announced."""
        self._client.update_item(
            TableName=self._table,
            Key={name: item[name] for name in ("object_uri", "object_version")},
            UpdateExpression="REMOVE undelivered",
            ConditionExpression="attribute_exists(object_uri)",
        )

    def read(self, batch: Batch, photo: Photo) -> dict[str, Any]:
        """Read one record; empty if there is none."""
        key = {"object_uri": {"S": batch.uri(photo)}, "object_version": {"S": photo.version_id}}
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return dict(answer.get("Item", {}))

    @staticmethod
    def said(record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a record says, for the line of its photo."""
        text = {name: record.get(name, {}).get("S") for name in ("outcome", "label", "error")}
        number = record.get("confidence", {}).get("N")
        return {**text, "confidence": float(number) if number else None}

    def _item(self, batch: Batch, photo: Photo, result: Result) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shard = random.randrange(_SHARDS)  # noqa: S311  # spreads writes, no secret
        facts = {
            "object_uri": batch.uri(photo),
            "object_version": photo.version_id,
            "outcome": result.outcome,
            "label": result.label,
            "confidence": result.confidence,
            "threshold": float(self._settings.threshold),
            "model_version": result.model_version,
            "error": result.error,
            "cause": result.cause and result.cause[:_LONGEST_CAUSE],
            "execution_arn": batch.execution_arn,
            "started_at": batch.started_at,
            "recorded_at": now,
            "outcome_rank": RANK[result.outcome],
            "outcome_day": f"{result.outcome}#{now[:10]}#{shard}",
            "undelivered": _undelivered(result.outcome) if batch.announce else None,
            "expires_at": self._expires_at(),
        }
        return {name: _value(value) for name, value in facts.items() if value is not None}

    def _expires_at(self) -> int | None:
        days = self._settings.retention_days
        return int(time.time()) + days * _SECONDS_A_DAY if days else None


def _undelivered(outcome: str) -> str:
    return "review,event" if outcome == "LOW_CONFIDENCE" else "event"


def _value(value: Any) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": repr(value)}


def _parts(keys: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(keys), _KEYS_A_REQUEST):
        yield keys[start : start + _KEYS_A_REQUEST]
