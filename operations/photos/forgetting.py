"""Forget photos: which a name means, what is deleted of each, and what stays elsewhere until when."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from commandline.errors import UsageError
from operations.executions import is_express
from operations.photos.labelled import copies
from operations.photos.sources import PREFIX
from operations.photos.traces import uri_of
from operations.results import Record, ResultsTable
from operations.stack import Stack

_HISTORY_DAYS: Final = 90  # of a Standard execution; its input and output of each state are in it
_MESSAGE_DAYS: Final = 14
_BACKUP_DAYS: Final = 35
_CAPTURE_DAYS: Final = 90


@dataclass
class Traces:
    """What the stack has of one photo; `versions` are S3's, delete markers among them."""

    uri: str
    versions: list[dict[str, Any]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def uploads(self) -> list[dict[str, Any]]:
        """Return the versions that are photos, not delete markers, the oldest first."""
        found = [one for one in self.versions if "Size" in one]
        return sorted(found, key=lambda one: str(one["LastModified"]))

    def newest(self) -> str:
        """Return when the photo was last uploaded or recorded, ISO 8601 in UTC."""
        times = [one["LastModified"].isoformat() for one in self.uploads()]
        return max([*times, *(record.recorded_at or "" for record in self.records)], default="")


class Forgetter:
    """Finds and deletes what a stack has of photos."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._table = stack, ResultsTable(stack)
        self._bucket, self._s3 = stack.output("PhotoBucketName"), stack.client("s3")

    def named(self, photo: str) -> list[Traces]:
        """Return the photos that a name means: one for a key or URI, any folder's for a file's name."""
        uri = uri_of(self._stack, photo)
        key = uri.removeprefix(f"s3://{self._bucket}/")
        found = [next((one for one in self._stored(key) if one.uri == uri), Traces(uri))]
        if photo not in {uri, key}:
            found += (one for one in self._stored(PREFIX) if one.uri.endswith(f"/{photo}") and one.uri != uri)
        for one in found:
            one.records = list(self._table.versions(one.uri))
        return [one for one in found if one.versions or one.records]

    def under(self, prefix: str, since: datetime | None) -> list[Traces]:
        """Return the photos under a prefix of keys, of those only what was uploaded since a time."""
        if not prefix:
            raise UsageError("--prefix: an empty prefix is every photo; give incoming/ to forget them all")
        key = prefix if prefix.startswith(PREFIX) else PREFIX + prefix
        found = {one.uri: one for one in self._stored(key)}
        for record in self._table.find(since):  # of photos that are deleted already, too
            if record.object_uri.startswith(f"s3://{self._bucket}/{key}"):
                found.setdefault(record.object_uri, Traces(record.object_uri)).records.append(record)
        for one in found.values():
            old = {v["VersionId"] for v in one.versions if since and v["LastModified"] < since}
            one.versions = [version for version in one.versions if version["VersionId"] not in old]
            one.records = [record for record in one.records if record.object_version not in old]
        return [one for one in found.values() if one.versions or one.records]

    def _stored(self, prefix: str) -> list[Traces]:
        found: dict[str, Traces] = {}
        for one in self._stack.stored(prefix):
            uri = f"s3://{self._bucket}/{one['Key']}"
            found.setdefault(uri, Traces(uri)).versions.append(one)
        return list(found.values())

    def forget(self, traces: Traces) -> dict[str, int]:
        """Delete a photo's versions, their labelled copies and records; return how many of each."""
        names = {one["VersionId"] for one in traces.uploads()}
        names |= {record.object_version for record in traces.records}
        labelled = [one for name in names for one in copies(self._stack, traces.uri, name)]
        for one in (*labelled, *traces.versions):
            self._s3.delete_object(Bucket=self._bucket, Key=one["Key"], VersionId=one["VersionId"])
        for record in traces.records:
            self._table.delete(record.object_uri, record.object_version)
        return {
            "versions": len(traces.versions),
            "labelled copies": len({one["Key"] for one in labelled if "Size" in one}),
            "records": len(traces.records),
        }


def stays(stack: Stack, records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Yield what is left of forgotten photos elsewhere, and the day until which."""
    now = stack.now()

    def day(time: datetime, days: int) -> str:
        return (time + timedelta(days=days)).date().isoformat()

    histories: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.execution_arn and not is_express(record.execution_arn):
            ended = datetime.fromisoformat(record.recorded_at) if record.recorded_at else now
            histories[day(ended, _HISTORY_DAYS)].add(record.execution_arn)
    for until, executions in sorted(histories.items()):
        what = "the picture (image_data) in the history of these executions"
        yield {"what": what, "until": until, "executions": sorted(executions)}
    others = {
        "the picture in the history of executions that were repeated, at the latest": _HISTORY_DAYS,
        "log lines with the key": int(stack.parameters.get("LogRetentionDays", 30)),
        "messages on the queues, which nobody can look through": _MESSAGE_DAYS,
        "captured requests, which have no key, unless CaptureRetentionDays is another": _CAPTURE_DAYS,
        "backups of the results table": _BACKUP_DAYS,
    }
    for what, days in others.items():
        yield {"what": what, "until": day(now, days)}
