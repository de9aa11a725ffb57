"""The results table: one record for each version of each photo."""

import heapq
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
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
_SHARDS: Final = 4
_SHARDED: Final = datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 30, 4, tzinfo=UTC)
"""Stacks that were created in this time may have older records in the partitions OUTCOME#YYYY-MM-DD#SHARD."""
OPTIONAL: Final = ("decided_by", "decided_at", "model_label", "in_review")
"""Attributes that an event leaves out where they are missing."""
_KEYS_A_REQUEST: Final = 100  # of BatchGetItem
_PAUSES_S: Final = (0.05, 5.0)  # before unprocessed keys are asked for again: the first, and the longest
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_UPDATING: Final = timedelta(days=1)  # executions of the definition before go on for less
_CLOCKS_DIFFER: Final = timedelta(minutes=5)  # of AWS's services among each other


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
        self._name, self.now, self._created = stack.output("ResultsTableName"), stack.now, stack.created
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
        """Change a record by DynamoDB's expressions.

        Returns whether the condition held, and the record as it is now, empty if there is none.
        """
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
        request = _expressions("KeyConditionExpression", {"object_uri": uri})
        for page in self._client.get_paginator("query").paginate(TableName=self._name, **request):
            yield from map(Record.from_item, page["Items"])

    def delete(self, uri: str, version: str) -> None:
        """Delete the record of one version of one photo, if there is one."""
        self._client.delete_item(TableName=self._name, Key=_key(uri, version))

    def find(
        self,
        *,
        outcome: str | None = None,
        label: str | None = None,
        since: datetime | None = None,
        newest: int | None = None,
    ) -> Iterator[Record]:
        """Read the records that match.

        Since a time, from the index, in the order of time, or `newest` of them, the newest first; else the
        whole table in no order.
        """
        if since is None:
            request = {"TableName": self._name}
            request |= _expressions("FilterExpression", {"outcome": outcome, "label": label})
            for page in self._client.get_paginator("scan").paginate(**request):
                yield from map(Record.from_item, page["Items"])
            return
        more = _expressions("FilterExpression", {"label": label})
        if newest is not None:
            more |= {"ScanIndexForward": False} | ({} if label else {"Limit": newest})
        yield from self._in_order(
            self._partitions((outcome,) if outcome else OUTCOMES, since), since, more, newest
        )

    def newest(self, since: datetime, limit: int, arrived: str = "") -> Iterator[Record]:
        """Read the newest records, or those that the workflow gave an outcome, whatever was decided later."""
        places = [one for one in self._partitions(OUTCOMES, since) if arrived in {"", _at_first(one)}]
        yield from self._in_order(places, since, {"ScanIndexForward": False, "Limit": limit}, limit)

    def _in_order(
        self, places: Iterable[str], since: datetime, more: Mapping[str, Any], newest: int | None
    ) -> Iterator[Record]:
        """Read partitions of the index, each in the order of time, as one."""
        found = [
            (Record.from_item(item) for page in self._pages(one, since, more) for item in page["Items"])
            for one in places
        ]
        merged = heapq.merge(*found, key=attrgetter("recorded_at"), reverse=newest is not None)
        yield from islice(merged, newest)

    def count(self, outcome: str, since: datetime) -> int:
        """Count the records that have an outcome now, since a time."""
        return sum(self._count(one, since) for one in self._partitions((outcome,), since))

    def arrived(self, since: datetime) -> dict[str, int]:
        """Count the photos since a time by what the workflow made of them, whatever was decided later."""
        counts = Counter(dict.fromkeys(OUTCOMES, 0))
        for one in self._partitions(OUTCOMES, since):
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
        for page in self._pages(SAMPLE if sampled else "ACCEPTED", since, names):
            yield from ((item["object_uri"]["S"], item["object_version"]["S"]) for item in page["Items"])

    def _count(self, name: str, since: datetime) -> int:
        return sum(page["Count"] for page in self._pages(name, since, {"Select": "COUNT"}))

    def _pages(self, name: str, since: datetime, more: Mapping[str, Any]) -> Iterator[Any]:
        """Query a partition of the index for what was recorded since a time."""
        keys = {"outcome_day": name, "recorded_at": timestamp(since)}
        request = _merged(_expressions("KeyConditionExpression", keys), more)
        pages = self._client.get_paginator("query")
        yield from pages.paginate(TableName=self._name, IndexName=INDEX, **request)

    def _partitions(self, outcomes: Iterable[str], since: datetime) -> Iterator[str]:
        """Yield the partitions of the index whose records have one of the outcomes now."""
        yield from (one for one in _PARTITIONS if one.partition("#")[0] in outcomes)
        start, until = _SHARDED
        if self._created >= until:
            return
        first = next(self._pages("ACCEPTED", _EPOCH, {"Limit": 1}))["Items"]
        end = datetime.fromisoformat(first[0]["recorded_at"]["S"]) + _UPDATING if first else self.now()
        for outcome, day, shard in product(outcomes, days(max(since, start), end), range(_SHARDS)):
            yield f"{outcome}#{day.isoformat()}#{shard}"

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
    parts = name.split("#")
    return parts[-1] if parts[-1] in OUTCOMES else parts[0]


def _key(uri: str, version: str) -> dict[str, Any]:
    return {"object_uri": {"S": uri}, "object_version": {"S": version}}


def _parts(versions: Iterable[Version]) -> Iterator[list[Version]]:
    """Split versions into as many as BatchGetItem takes at a time."""
    remaining = iter(versions)
    while part := list(islice(remaining, _KEYS_A_REQUEST)):
        yield part


def days(start: datetime, end: datetime) -> list[date]:
    """Return the days in UTC from one time to another, or to the next where a clock may be there already."""
    first, last = start.astimezone(UTC).date(), (end.astimezone(UTC) + _CLOCKS_DIFFER).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _expressions(kind: str, wanted: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the members of a request that select by equality, None aside, and `recorded_at` from then on."""
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


def timestamp(time: datetime) -> str:
    """Return a time as JSONata's $now() writes it, so that the order of the texts is that of the times."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, plain),) = value.items()
    return float(plain) if kind == "N" else None if kind == "NULL" else plain
