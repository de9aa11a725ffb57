"""The results table: one record for each version of each photo."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice, product
from typing import Any, Final, Self

from boto3.dynamodb.types import TypeDeserializer

from operations.outcomes import OUTCOMES
from operations.stack import Stack

INDEX: Final = "by-outcome"
"""Index of the table by outcome and day; template.yaml describes its keys."""
SHARDS: Final = 4
LONGEST_BY_INDEX: Final = timedelta(days=100)
"""Beyond it, reading the whole table takes fewer requests than the days' partitions."""
_KEYS_A_REQUEST: Final = 100  # of BatchGetItem

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
        model_version: the model that answered; None if none did, or it does not say.
        decided_by: who decided about the photo, if a person did.
        decided_at: when, ISO 8601 in UTC.
        model_label: what the model had said, if a person decided.
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
    model_version: str | None = None
    decided_by: str | None = None
    decided_at: str | None = None
    model_label: str | None = None

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

    def versions(self, uri: str) -> Iterator[Record]:
        """Read the records of all versions of one photo.

        Args:
            uri: `s3://bucket/key`.
        """
        request = _expressions("KeyConditionExpression", {"object_uri": uri})
        for page in self._client.get_paginator("query").paginate(TableName=self._name, **request):
            yield from map(Record.from_item, page["Items"])

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
        """Read the records that match, in no particular order.

        With `since`, asks the index for each day and outcome; otherwise reads the whole table.

        Args:
            outcome: only this outcome.
            label: only this label.
            since: only what was recorded at that time or later.
        """
        if since and datetime.now(UTC) - since <= LONGEST_BY_INDEX:
            yield from self._query((outcome,) if outcome else OUTCOMES, label, since)
            return
        wanted = {"outcome": outcome, "label": label, "recorded_at": _timestamp(since) if since else None}
        request = {"TableName": self._name, **_expressions("FilterExpression", wanted)}
        for page in self._client.get_paginator("scan").paginate(**request):
            yield from map(Record.from_item, page["Items"])

    def _query(self, outcomes: Iterable[str], label: str | None, since: datetime) -> Iterator[Record]:
        """Read records by the index, whose partitions are an outcome, a day and a shard."""
        pages = self._client.get_paginator("query")
        for request in self._partitions(outcomes, since):
            filtered = _merged(request, _expressions("FilterExpression", {"label": label}))
            for page in pages.paginate(**filtered):
                yield from map(Record.from_item, page["Items"])

    def count(self, outcome: str, since: datetime) -> int:
        """Count the records of an outcome, by the index.

        Args:
            outcome: the outcome.
            since: only what was recorded at that time or later.
        """
        pages = self._client.get_paginator("query")
        return sum(
            page["Count"]
            for request in self._partitions((outcome,), since)
            for page in pages.paginate(**request, Select="COUNT")
        )

    def latest(self, since: datetime, limit: int) -> list[Record]:
        """Return the latest records of all outcomes, the newest first.

        Args:
            since: only what was recorded at that time or later.
            limit: how many at most.
        """
        found: list[Record] = []
        for request in self._partitions(OUTCOMES, since):
            answer = self._client.query(**request, ScanIndexForward=False, Limit=limit)
            found += map(Record.from_item, answer["Items"])
        return sorted(found, key=lambda one: one.recorded_at or "", reverse=True)[:limit]

    def _partitions(self, outcomes: Iterable[str], since: datetime) -> Iterator[dict[str, Any]]:
        """Yield a query for each partition of the index: an outcome, a day and a shard."""
        for outcome, day, shard in product(outcomes, days_since(since), range(SHARDS)):
            keys = {"outcome_day": f"{outcome}#{day.isoformat()}#{shard}", "recorded_at": _timestamp(since)}
            request = {"TableName": self._name, "IndexName": INDEX}
            yield _merged(request, _expressions("KeyConditionExpression", keys))

    def get_many(self, versions: Iterable[tuple[str, str]]) -> Iterator[Record]:
        """Read the records of some versions of photos, in no particular order; some may have none.

        Args:
            versions: pairs of `s3://bucket/key` and version.
        """
        for part in _parts(versions):
            keys = [{"object_uri": {"S": uri}, "object_version": {"S": one}} for uri, one in set(part)]
            request: Any = {self._name: {"Keys": keys, "ConsistentRead": True}}
            while request:  # DynamoDB may answer a part of it only
                answer = self._client.batch_get_item(RequestItems=request)
                yield from map(Record.from_item, answer["Responses"].get(self._name, []))
                request = answer.get("UnprocessedKeys")

    def missing(self, versions: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield those of some versions of photos that have no record.

        Args:
            versions: pairs of `s3://bucket/key` and version.
        """
        for part in _parts(versions):
            found = {(record.object_uri, record.object_version) for record in self.get_many(part)}
            yield from (one for one in part if one not in found)

    def unfinished(self, versions: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield those of some versions of photos that have no record, or one that says `FAILED`.

        Args:
            versions: pairs of `s3://bucket/key` and version.
        """
        for part in _parts(versions):
            records = self.get_many(part)
            done = {(one.object_uri, one.object_version) for one in records if one.outcome != "FAILED"}
            yield from (one for one in part if one not in done)


def _parts(versions: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Split versions into as many as BatchGetItem takes at a time."""
    remaining = iter(versions)
    while part := list(islice(remaining, _KEYS_A_REQUEST)):
        yield part


def days_since(time: datetime) -> list[date]:
    """Return the days in UTC from that of a time to today, and tomorrow: clocks differ."""
    first, last = time.astimezone(UTC).date(), datetime.now(UTC).date() + timedelta(days=1)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _expressions(kind: str, wanted: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the members of a request that select by equality, and `recorded_at` from a time on.

    Args:
        kind: `FilterExpression` or `KeyConditionExpression`.
        wanted: values by attribute; None does not select.
    """
    conditions = {name: text for name, text in wanted.items() if text}
    if not conditions:
        return {}
    comparison = {"recorded_at": ">="}
    return {
        kind: " AND ".join(f"#{name} {comparison.get(name, '=')} :{name}" for name in conditions),
        "ExpressionAttributeNames": {f"#{name}": name for name in conditions},
        "ExpressionAttributeValues": {f":{name}": {"S": text} for name, text in conditions.items()},
    }


def _merged(*requests: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of all requests; of members that are mappings, the union."""
    merged: dict[str, Any] = {}
    for request in requests:
        for name, value in request.items():
            merged[name] = {**merged.get(name, {}), **value} if isinstance(value, Mapping) else value
    return merged


def _timestamp(time: datetime) -> str:
    # As JSONata's $now() writes it, so that text order is time order.
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
