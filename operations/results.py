"""The results table: one record for each version of each photo."""

import heapq
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice, product
from operator import attrgetter
from typing import Any, Final, Self, cast

from operations.outcomes import OUTCOMES
from operations.stack import Stack

INDEX: Final = "by-outcome"
"""Index of the table by outcome and time; template.yaml describes its keys."""
SAMPLE: Final = "ACCEPTED#SAMPLE"
"""Partition of the index with the accepted photos that the workflow drew for the audit."""
SAMPLED: Final = 0.02
"""Share of the accepted photos in it; statemachine/classify_image.asl.json draws them."""
_PARTITIONS: Final = (*OUTCOMES, SAMPLE, *map("#".join, product(("ACCEPTED", "REJECTED"), OUTCOMES[:2])))
OPTIONAL: Final = ("decided_by", "decided_at", "model_label", "in_review")
"""Attributes that an event leaves out where they are missing."""
_KEYS_A_REQUEST: Final = 100  # of BatchGetItem
_PAUSES_S: Final = (0.05, 5.0)  # before unprocessed keys are asked for again: the first, and the longest


@dataclass(frozen=True)
class Record:
    """An item of the results table; what does not apply to the outcome is None. Times are ISO 8601 in UTC."""

    object_uri: str
    object_version: str  # or the object's ETag in a bucket without versions
    outcome: str
    label: str | None = None  # the most probable class, or a person's
    confidence: float | None = None  # the model's probability of its class, 0 to 1
    threshold: float | None = None
    error: str | None = None
    cause: str | None = None
    execution_arn: str | None = None
    started_at: str | None = None
    recorded_at: str | None = None
    model_version: str | None = None  # None if no model answered, or it does not say
    neither: float | None = None  # the model's probability that the photo shows none of the labels
    decided_by: str | None = None
    decided_at: str | None = None
    model_label: str | None = None  # the model's label, if a person decided
    in_review: str | None = None  # since when, if it has been reclassified meanwhile

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """Read a record from an item as DynamoDB's API has it; attributes of other versions are ignored."""
        names = item.keys() & cls.__dataclass_fields__
        return cls(**{name: _plain(item[name]) for name in names})

    @property
    def version(self) -> "Version":
        """The photo's URI and version, which identify the record."""
        return self.object_uri, self.object_version

    @property
    def key(self) -> str:
        """The photo's key in its bucket."""
        return self.object_uri.removeprefix("s3://").partition("/")[2]

    def as_json(self) -> dict[str, Any]:
        """Return the members of the line that `results --json` prints."""
        return asdict(self)


Item = Mapping[str, Any]
"""A record as DynamoDB's API has it."""
Version = tuple[str, str]
"""`s3://bucket/key` and version of a photo."""


class ResultsTable:
    """The results table of a deployed stack."""

    def __init__(self, stack: Stack) -> None:
        self._name, self.now = stack.output("ResultsTableName"), stack.now
        self._client = stack.client("dynamodb")

    def get(self, uri: str, version: str) -> Record | None:
        """Read the record of one version of one photo; return None if there is none yet."""
        item = self.item(uri, version)
        return Record.from_item(item) if item else None

    def item(self, uri: str, version: str) -> Item:
        """Read a record as DynamoDB's API has it; empty if there is none."""
        answer = self._client.get_item(TableName=self._name, Key=_key(uri, version), ConsistentRead=True)
        return cast("Item", answer.get("Item", {}))

    def update(
        self,
        version: Version,
        update: str,
        condition: str,
        values: Mapping[str, str | Item],
        names: Mapping[str, str] | None = None,
    ) -> tuple[bool, Item]:
        """Change a record by DynamoDB's expressions; return whether the condition held, and the record."""
        try:
            answer = self._client.update_item(
                TableName=self._name,
                Key=_key(*version),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={
                    f":{name}": {"S": value} if isinstance(value, str) else value
                    for name, value in values.items()
                },
                **({"ExpressionAttributeNames": names} if names else {}),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            return False, cast("Item", error.response.get("Item", {}))
        return True, answer["Attributes"]

    def versions(self, uri: str) -> Iterator[Record]:
        """Read the records of all versions of one photo."""
        condition, values = "object_uri = :uri", {":uri": {"S": uri}}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name, KeyConditionExpression=condition, ExpressionAttributeValues=values
        )
        yield from map(Record.from_item, pages.search("Items"))

    def delete(self, uri: str, version: str) -> None:
        """Delete the record of one version of one photo, if there is one."""
        self._client.delete_item(TableName=self._name, Key=_key(uri, version))

    def find(
        self,
        since: datetime | None = None,
        *,
        outcome: str | None = None,
        label: str | None = None,
        newest: int | None = None,
    ) -> Iterator[Record]:
        """Read records since a time in order, or the `newest` first; without a time all that there are."""
        if since is None:
            pages = self._client.get_paginator("scan").paginate(TableName=self._name)
            yield from map(Record.from_item, pages.search("Items"))
            return
        more: dict[str, Any] = {} if newest is None else {"ScanIndexForward": False}
        if label:
            more |= {"FilterExpression": "#label = :label", "ExpressionAttributeNames": {"#label": "label"}}
            more |= {"ExpressionAttributeValues": {":label": {"S": label}}}
        elif newest is not None:
            more |= {"Limit": newest}
        places = [one for one in _PARTITIONS if outcome in {None, one.partition("#")[0]}]
        yield from self._in_order(places, since, more, newest)

    def newest(self, since: datetime, limit: int, arrived: str = "") -> Iterator[Record]:
        """Read the newest records, or those that the workflow gave an outcome, whatever was decided later."""
        places = [one for one in _PARTITIONS if arrived in {"", _at_first(one)}]
        yield from self._in_order(places, since, {"ScanIndexForward": False, "Limit": limit}, limit)

    def _in_order(
        self, places: Iterable[str], since: datetime, more: Mapping[str, Any], newest: int | None
    ) -> Iterator[Record]:
        """Read partitions of the index, each in the order of time, as one."""
        found = [map(Record.from_item, self._pages(one, since, more).search("Items")) for one in places]
        merged = heapq.merge(*found, key=attrgetter("recorded_at"), reverse=newest is not None)
        yield from islice(merged, newest)

    def count(self, outcome: str, since: datetime) -> int:
        """Count the records that have an outcome now, since a time."""
        return sum(self._count(one, since) for one in _PARTITIONS if one.partition("#")[0] == outcome)

    def arrived(self, since: datetime) -> dict[str, int]:
        """Count the photos since a time by what the workflow made of them, whatever was decided later."""
        counts = Counter(dict.fromkeys(OUTCOMES, 0))
        for one in _PARTITIONS:
            counts[_at_first(one)] += self._count(one, since)
        return dict(counts)

    def audits(self, since: datetime) -> tuple[int, int]:
        """Count the accepted photos that a person has looked at, and those of them that were wrong."""
        wrong = {
            "FilterExpression": "#label <> model_label",
            "ExpressionAttributeNames": {"#label": "label"},
            "Select": "COUNT",
        }
        pages = list(self._pages(partition("ACCEPTED", "ACCEPTED"), since, wrong))
        neither = self._count(partition("REJECTED", "ACCEPTED"), since)
        looked_at, errors = (sum(page[name] for page in pages) for name in ("ScannedCount", "Count"))
        return looked_at + neither, errors + neither

    def accepted(self, since: datetime, *, sampled: bool) -> Iterator[Version]:
        """Read the accepted photos that nobody has looked at, those that the workflow drew or the others."""
        names = {"ProjectionExpression": "object_uri, object_version"}
        for item in self._pages(SAMPLE if sampled else "ACCEPTED", since, names).search("Items"):
            yield item["object_uri"]["S"], item["object_version"]["S"]

    def _count(self, name: str, since: datetime) -> int:
        return sum(page["Count"] for page in self._pages(name, since, {"Select": "COUNT"}))

    def _pages(self, name: str, since: datetime, more: Mapping[str, Any]) -> Any:
        """Query a partition of the index for what was recorded since a time."""
        values = {":outcome_day": {"S": name}, ":recorded_at": {"S": timestamp(since)}}
        request = {
            "TableName": self._name,
            "IndexName": INDEX,
            "KeyConditionExpression": "outcome_day = :outcome_day AND recorded_at >= :recorded_at",
            **more,
            "ExpressionAttributeValues": {**more.get("ExpressionAttributeValues", {}), **values},
        }
        return self._client.get_paginator("query").paginate(**request)

    def get_many(self, versions: Iterable[Version]) -> Iterator[Record]:
        """Read the records of some versions, in no particular order; some may have none."""
        first, longest = _PAUSES_S
        for part in _parts(versions):
            request: Any = {self._name: {"Keys": [_key(*one) for one in set(part)], "ConsistentRead": True}}
            pause = first
            while request:  # DynamoDB answers a part of it when it is large, or when it throttles
                answer = self._client.batch_get_item(RequestItems=request)
                yield from map(Record.from_item, answer["Responses"].get(self._name, []))
                if request := answer.get("UnprocessedKeys"):
                    time.sleep(pause)
                    pause = min(2 * pause, longest)

    def missing(self, versions: Iterable[Version], *, or_failed: bool = False) -> Iterator[Version]:
        """Yield the versions without a record, or with one that is not final, which is FAILED."""
        for part in _parts(versions):
            records = self.get_many(part)
            done = {one.version for one in records if not (or_failed and one.outcome == "FAILED")}
            yield from (one for one in part if one not in done)


def partition(outcome: str, before: str) -> str:
    """Return the partition of the index for a photo that a person has decided: its outcome now and before."""
    return f"{outcome}#{before}"


def _at_first(name: str) -> str:
    """Return the outcome that the workflow gave to the photos of a partition."""
    first, _, last = name.partition("#")
    return last if last in OUTCOMES else first


def _key(uri: str, version: str) -> dict[str, Any]:
    return {"object_uri": {"S": uri}, "object_version": {"S": version}}


def _parts(versions: Iterable[Version]) -> Iterator[list[Version]]:
    """Split versions into as many as BatchGetItem takes at a time."""
    remaining = iter(versions)
    while part := list(islice(remaining, _KEYS_A_REQUEST)):
        yield part


def timestamp(time: datetime) -> str:
    """Return a time as JSONata's $now() writes it, so that the order of the texts is that of the times."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, plain),) = value.items()
    return float(plain) if kind == "N" else None if kind == "NULL" else plain
