"""The traces of one photo in a deployed stack: its versions, their records, and what its executions did."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from commandline.errors import CommandError, UsageError
from commandline.terminal import say
from operations.executions import FAILURES, LONGEST, details_of, is_express, log_events
from operations.photos.sources import PREFIX, find_photos
from operations.results import Record, ResultsTable
from operations.s3 import SCHEME, is_s3, split_uri
from operations.stack import Stack

_SHOWN: Final = ("TaskStateEntered", "FailStateEntered", "SucceedStateEntered")
_LATE: Final = timedelta(seconds=10)  # clocks differ, and what started the execution had a name for its time
_RECENT: Final = timedelta(days=30)
_MOST_RECENT: Final = 1000  # records that are read


@dataclass(frozen=True)
class Step:
    """A state of the workflow that did something or ended it; an error is the last one of its task."""

    name: str
    seconds: float = 0.0
    attempts: int = 0
    error: str = ""
    succeeded: bool = False


def steps_of(stack: Stack, execution_arn: str | None, started_at: str | None = None) -> list[Step]:
    """Read the steps of an execution from its history; of EXPRESS, from the log of when it ran."""
    if not execution_arn:
        return []
    try:
        if is_express(execution_arn):
            since = datetime.fromisoformat(started_at) if started_at else stack.now() - LONGEST
            events = log_events(stack, f'"{execution_arn}"', since - _LATE, since + LONGEST + _LATE)
            return steps_in(sorted(events, key=lambda event: event["id"]))
        pages = stack.client("stepfunctions").get_paginator("get_execution_history")
        return steps_in(pages.paginate(executionArn=execution_arn).search("events"))
    except (ClientError, BotoCoreError):  # the history adds to the outcome, its absence takes nothing away
        return []


def steps_in(events: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Return the steps in the events of an execution's history, the oldest first."""
    steps: list[Step] = []
    entered: datetime | None = None
    for event in events:
        kind = event["type"]
        if kind in _SHOWN:
            entered = event["timestamp"]
            steps.append(Step(details_of(event)["name"]))
        elif kind == "TaskScheduled" and steps:
            steps[-1] = replace(steps[-1], attempts=steps[-1].attempts + 1)
        elif kind in FAILURES and steps:
            steps[-1] = replace(steps[-1], error=str(details_of(event).get("error", "States.Timeout")))
        elif kind == "TaskSucceeded" and steps:
            steps[-1] = replace(steps[-1], error="", succeeded=True)
        elif kind == "TaskStateExited" and steps and entered:
            steps[-1] = replace(steps[-1], seconds=(event["timestamp"] - entered).total_seconds())
    return steps


@dataclass(frozen=True)
class Version:
    """One version of a photo; what the bucket or the table does not have any more is None."""

    object_uri: str
    object_version: str
    uploaded_at: datetime | None
    size: int | None
    record: Record | None
    steps: tuple[Step, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the members of the line that `show --json` prints."""
        uploaded = self.uploaded_at.isoformat() if self.uploaded_at else None
        return {**asdict(self), "uploaded_at": uploaded}


def uri_of(stack: Stack, photo: str) -> str:
    """Return the URI of a photo; UsageError if it is one of another bucket."""
    bucket = stack.output("PhotoBucketName")
    if is_s3(photo):
        if not photo.startswith(f"{SCHEME}{bucket}/"):
            raise UsageError(f"{photo}: not in the photo bucket of the stack {stack.name}, which is {bucket}")
        return photo
    return f"{SCHEME}{bucket}/{photo if photo.startswith(PREFIX) else PREFIX + photo}"


def named(stack: Stack, photo: str) -> str:
    """Return the URI of a photo by its key, by the file that `send` uploaded, or by the end of a recent key.

    UsageError if several recent keys end so, CommandError if there is no such photo.
    """
    uri = uri_of(stack, photo)
    if _exists(stack, uri):
        return uri
    keys = [] if photo.startswith((SCHEME, PREFIX)) else _keys_meant(stack, Path(photo))
    if not keys:
        raise CommandError(f"{uri}: neither the bucket nor the results table know this photo")
    if len(keys) > 1:
        raise UsageError(f"{photo}: several photos are named so: {', '.join(keys)}")
    say(f"{photo} is no key; taking the photo that was sent as {keys[0]}")
    return uri_of(stack, keys[0])


def _keys_meant(stack: Stack, path: Path) -> list[str]:
    from operations.photos.send import with_keys_of_their_own  # noqa: PLC0415 - it takes Jinja

    if path.is_file():
        (photo,) = with_keys_of_their_own(stack, find_photos([path]).photos)
        if _exists(stack, uri_of(stack, photo.key)):
            return [photo.key]
    recent = ResultsTable(stack).find(since=stack.now() - _RECENT, newest=_MOST_RECENT)
    return sorted({record.key for record in recent if record.key.endswith(f"/{path.name}")})


def _exists(stack: Stack, uri: str) -> bool:
    return any(ResultsTable(stack).versions(uri)) or any(stored_versions(stack, uri))


def versions_of(stack: Stack, uri: str) -> list[Version]:
    """Return all versions of a photo that bucket or results table know, the oldest first."""
    records = {record.object_version: record for record in ResultsTable(stack).versions(uri)}
    newest_first = list(stored_versions(stack, uri))
    stored = {one["VersionId"]: one for one in reversed(newest_first)}
    found: list[tuple[str, Version]] = []
    for version in {**stored, **records}:
        record, one = records.get(version), stored.get(version, {})
        steps = steps_of(stack, record.execution_arn, record.started_at) if record else []
        uploaded = one.get("LastModified")
        time = uploaded.isoformat() if uploaded else (record and record.recorded_at) or ""
        found.append((time, Version(uri, version, uploaded, one.get("Size"), record, tuple(steps))))
    return [version for _, version in sorted(found, key=lambda one: one[0])]


def stored_versions(stack: Stack, uri: str) -> Iterator[dict[str, Any]]:
    """Yield the versions of an object as S3 describes them, the newest first."""
    key = split_uri(uri)[1]
    return (one for one in stack.stored(key) if one["Key"] == key and "Size" in one)


def retained(stack: Stack, prefix: str = PREFIX) -> Iterator[dict[str, Any]]:
    """Yield the latest versions of photos as S3 describes them, those whose records have expired left out.

    A photo that is older than ResultRetentionDays has no record whatever became of it: it is not missing.
    Neither are versions that were overwritten or deleted.
    """
    days = int(stack.parameters.get("ResultRetentionDays", "0"))
    limit = stack.now() - timedelta(days=days) if days else datetime.min.replace(tzinfo=UTC)
    photos = (one for one in stack.stored(prefix) if "Size" in one)
    return (one for one in photos if one["IsLatest"] and one["LastModified"] >= limit)
