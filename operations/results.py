"""The results table: one record for each version of each photo."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Self

from boto3.dynamodb.types import TypeDeserializer

from operations.stack import Stack

_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True)
class Record:
    """An item of the results table; what does not apply to the outcome is None.

    Attributes:
        object_uri: `s3://bucket/key` of the photo.
        object_version: version of the object, or its ETag in a bucket without versions.
        outcome: one of operations.outcomes.OUTCOMES.
        label: the most probable class.
        confidence: its probability, 0 to 1.
        threshold: the confidence that was needed.
        error: name of the error that the execution ended with.
        cause: what that error says.
        execution_arn: the execution that recorded the outcome.
        started_at: when that execution began, ISO 8601.
        recorded_at: when the outcome was recorded, ISO 8601 in UTC.
    """

    object_uri: str
    object_version: str
    outcome: str
    label: str | None = None
    confidence: float | None = None
    threshold: float | None = None
    error: str | None = None
    cause: str | None = None
    execution_arn: str | None = None
    started_at: str | None = None
    recorded_at: str | None = None

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """Read a record from an item as DynamoDB's API has it; attributes of other versions are ignored."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: _plain(_deserialize(value)) for name, value in item.items() if name in names})

    def as_json(self) -> dict[str, Any]:
        """Return the members of the line that `results --json` prints."""
        return asdict(self)


class ResultsTable:
    """The results table of a deployed stack.

    Args:
        stack: the deployed stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._name = stack.output("ResultsTableName")
        self._client = stack.client("dynamodb")

    def get(self, uri: str, version: str) -> Record | None:
        """Read the record of one version of one photo; return None if there is none yet.

        Args:
            uri: `s3://bucket/key`.
            version: version of the object.
        """
        key = {"object_uri": {"S": uri}, "object_version": {"S": version}}
        answer = self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True)
        return Record.from_item(answer["Item"]) if "Item" in answer else None

    def delete(self, uri: str, version: str) -> None:
        """Delete the record of one version of one photo, if there is one.

        Args:
            uri: `s3://bucket/key`.
            version: version of the object.
        """
        key = {"object_uri": {"S": uri}, "object_version": {"S": version}}
        self._client.delete_item(TableName=self._name, Key=key)

    def find(
        self, *, outcome: str | None = None, label: str | None = None, since: datetime | None = None
    ) -> Iterator[Record]:
        """Read the records that match, in no particular order. Scans the whole table.

        Args:
            outcome: only this outcome.
            label: only this label.
            since: only what was recorded at that time or later.
        """
        wanted = {"outcome": outcome, "label": label, "recorded_at": since and _timestamp(since)}
        conditions = {name: text for name, text in wanted.items() if text}
        request: dict[str, Any] = {"TableName": self._name}
        if conditions:
            request |= _filter(conditions)
        for page in self._client.get_paginator("scan").paginate(**request):
            yield from map(Record.from_item, page["Items"])


def _filter(conditions: Mapping[str, str]) -> dict[str, Any]:
    """Return the members of a Scan request that select by equality, and `recorded_at` from a time on."""
    comparison = {"recorded_at": ">="}
    return {
        "FilterExpression": " AND ".join(
            f"#{name} {comparison.get(name, '=')} :{name}" for name in conditions
        ),
        "ExpressionAttributeNames": {f"#{name}": name for name in conditions},
        "ExpressionAttributeValues": {f":{name}": {"S": text} for name, text in conditions.items()},
    }


def _timestamp(time: datetime) -> str:
    # As JSONata's $now() writes it, so that text order is time order.
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
