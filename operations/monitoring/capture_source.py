"""Where data-capture files lie: a folder, or a prefix in S3."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from commandline.errors import UsageError
from operations.monitoring.files import is_s3, split_uri
from operations.s3_errors import named

_SUFFIX: Final = ".jsonl"
# <destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/<mm-ss-mmm>-<uuid>.jsonl
_HOUR: Final = re.compile(r"(?:^|/)(\d{4})/(\d\d)/(\d\d)/(\d\d)/[^/]+$")
_BUFFER_BYTES: Final = 256 * 1024


class CaptureSource(Protocol):
    """The capture files of one or several endpoints."""

    @property
    def name(self) -> str:
        """Where they lie."""

    def files(self) -> Iterator[str]:
        """Yield the names of the files in order; with SageMaker's names that is the order of time."""

    def open(self, file: str) -> BinaryIO:
        """Open a file for reading it line by line, without holding it in memory."""

    def read(self, file: str, offset: int, length: int) -> bytes:
        """Read a part of a file."""


@dataclass(frozen=True)
class FolderSource:
    """The `*.jsonl` files in a folder and its subfolders.

    Attributes:
        folder: the folder.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def files(self) -> Iterator[str]:
        """Yield paths relative to the folder."""
        for path in sorted(self.folder.rglob(f"*{_SUFFIX}")):
            if path.is_file():
                yield path.relative_to(self.folder).as_posix()

    def open(self, file: str) -> BinaryIO:
        """Open one of them."""
        return (self.folder / file).open("rb", buffering=_BUFFER_BYTES)

    def read(self, file: str, offset: int, length: int) -> bytes:
        """Read a part of one."""
        with (self.folder / file).open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)


@dataclass(frozen=True)
class BucketSource:
    """The `*.jsonl` objects under a prefix.

    Attributes:
        bucket: the bucket's name.
        prefix: what their keys begin with.
        client: a boto3 client of S3.
    """

    bucket: str
    prefix: str
    client: Any

    @property
    def name(self) -> str:
        """The prefix as a URI."""
        return f"s3://{self.bucket}/{self.prefix}"

    def files(self) -> Iterator[str]:
        """Yield keys."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        with named(self.name):
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        yield from (key for key in keys if key.endswith(_SUFFIX))

    def open(self, file: str) -> BinaryIO:
        """Begin to download an object."""
        body = self.client.get_object(Bucket=self.bucket, Key=file)["Body"]
        return io.BufferedReader(body, _BUFFER_BYTES)

    def read(self, file: str, offset: int, length: int) -> bytes:
        """Download a part of an object."""
        part = f"bytes={offset}-{offset + length - 1}"
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=file, Range=part)["Body"].read()
        return body


def capture_source(location: str, session: Any) -> CaptureSource:
    """Return the source that a location names.

    Args:
        location: a folder, or `s3://BUCKET/PREFIX`.
        session: a boto3 session; used for S3 only.

    Raises:
        UsageError: there is no such folder, or no bucket in the URI.
    """
    if is_s3(location):
        return BucketSource(*split_uri(location), session.client("s3"))
    folder = Path(location).expanduser()
    if not folder.is_dir():
        raise UsageError(f"{location}: there is no such folder; give one, or s3://BUCKET/PREFIX")
    return FolderSource(folder)


def may_hold(file: str, since: datetime) -> bool:
    """Return whether a file can hold records from a time on, judged by the hour in its name.

    Args:
        file: its name; one in another layout may hold anything.
        since: that time.
    """
    found = _HOUR.search(file)
    if not found:
        return True
    try:
        hour = datetime(*map(int, found.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return True
    # A file is named for its first record and may go on into the next hour.
    return hour + timedelta(hours=2) > since
