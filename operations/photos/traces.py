"""The traces of one photo in a deployed stack: its versions, their records, and what its executions did."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from commandline.errors import CommandError, UsageError
from commandline.terminal import say
from operations.photos.sources import PREFIX, find_photos
from operations.photos.steps import Step, steps_of
from operations.results import Record, ResultsTable
from operations.s3 import SCHEME, is_s3, split_uri
from operations.stack import Stack

_RECENT: Final = timedelta(days=30)
_MOST_RECENT: Final = 1000  # records that are read


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
    """Return the URI of a photo.

    Raises:
        UsageError: it is a URI of another bucket.
    """
    bucket = stack.output("PhotoBucketName")
    if is_s3(photo):
        if not photo.startswith(f"{SCHEME}{bucket}/"):
            raise UsageError(f"{photo}: not in the photo bucket of the stack {stack.name}, which is {bucket}")
        return photo
    return f"{SCHEME}{bucket}/{photo if photo.startswith(PREFIX) else PREFIX + photo}"


def named(stack: Stack, photo: str) -> str:
    """Return the URI of a photo by its key, by the file that `send` uploaded, or by the end of a recent key.

    Raises:
        UsageError: several recent keys end so.
        CommandError: there is no such photo.
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
    found = []
    for version in {**stored, **records}:
        record, one = records.get(version), stored.get(version, {})
        steps = steps_of(stack, record.execution_arn, record.started_at) if record else []
        found.append(Version(uri, version, one.get("LastModified"), one.get("Size"), record, tuple(steps)))
    return sorted(found, key=_time)


def stored_versions(stack: Stack, uri: str) -> Iterator[dict[str, Any]]:
    """Yield the versions of an object as S3 describes them."""
    bucket, key = split_uri(uri)
    pages = stack.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    for page in pages:
        yield from (one for one in page.get("Versions", []) if one["Key"] == key)


def _time(version: Version) -> str:
    if version.uploaded_at:
        return version.uploaded_at.isoformat()
    return (version.record.recorded_at if version.record else None) or ""
