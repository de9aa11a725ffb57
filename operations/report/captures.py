"""Data-capture files of SageMaker: where they lie, and what their lines hold.

The layout is SageMaker's own
(https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html): `captureData` with
`endpointInput` and `endpointOutput`, each with `data` and `encoding`, and `eventMetadata.inferenceTime`.
"""

import base64
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

from commandline.errors import UsageError
from operations.s3 import is_s3, named, split_uri

SUM_TOLERANCE: Final = 1e-3
FIRST_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
LAST_TIME: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()  # Python's dates end at the year 9999

# What can be wrong with a record; the report counts by these.
NOT_JSON: Final = "not a JSON object (cut off?)"
TOO_LONG: Final = "line longer than SageMaker writes"
INCOMPLETE: Final = "fields missing"
NO_TIME: Final = "no time, or not one in ISO 8601"
WRONG_TIME: Final = "time is not of this century"
NOT_BASE64: Final = "photo is not base64"
NOT_AN_IMAGE: Final = "photo cannot be decoded"
NOT_PROBABILITIES: Final = "answer is not a list of probabilities"
WRONG_LENGTH: Final = "answer does not have one probability per label"


class DamagedRecordError(ValueError):
    """A record cannot be used; the message is one of the kinds above."""


@dataclass(frozen=True, slots=True)
class CaptureRecord:
    """What an endpoint was asked and what it answered."""

    time: float  # of the answer, seconds since 1970
    probabilities: tuple[float, ...]
    photo: bytes | None  # None if the endpoint captures answers only
    version: str  # of the photo's object, by which the results table knows it; empty if nobody said so


def parse_record(line: bytes, labels: int) -> CaptureRecord:
    """Read one line whose answer must have one probability for each of `labels` classes.

    Raises:
        DamagedRecordError: it is not a usable record; the message is the kind of damage.
    """
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:  # the latter from thousands of nested lists
        raise DamagedRecordError(NOT_JSON) from error
    if not isinstance(record, dict):
        raise DamagedRecordError(NOT_JSON)
    captured = _member(record, "captureData")
    output = _member(captured, "endpointOutput")
    metadata = _member(record, "eventMetadata")
    time = _time(metadata)
    probabilities = _probabilities(output, labels)
    photo = _photo(_member(captured, "endpointInput")) if "endpointInput" in captured else None
    return CaptureRecord(time, probabilities, photo, str(metadata.get("inferenceId", "")))


def _member(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise DamagedRecordError(INCOMPLETE)
    return value


def _text(side: dict[str, Any]) -> str:
    data = side.get("data")
    if not isinstance(data, str):
        raise DamagedRecordError(INCOMPLETE)
    return data


def _time(metadata: dict[str, Any]) -> float:
    try:
        time = datetime.fromisoformat(metadata["inferenceTime"])
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DamagedRecordError(NO_TIME) from error
    if not FIRST_TIME <= seconds < LAST_TIME:
        raise DamagedRecordError(WRONG_TIME)
    return seconds


def _photo(side: dict[str, Any]) -> bytes:
    text = _text(side)
    if str(side.get("encoding")).upper() != "BASE64":
        raise DamagedRecordError(NOT_BASE64)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise DamagedRecordError(NOT_BASE64) from error


def _probabilities(side: dict[str, Any], labels: int) -> tuple[float, ...]:
    text: str | bytes = _text(side)
    try:
        # Where the capture settings do not list application/json as JSON, answers are base64 as well.
        if str(side.get("encoding")).upper() == "BASE64":
            text = base64.b64decode(text, validate=True)
        values: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedRecordError(NOT_PROBABILITIES) from error
    if not isinstance(values, list) or not values or not all(map(_is_probability, values)):
        raise DamagedRecordError(NOT_PROBABILITIES)
    if len(values) != labels:
        raise DamagedRecordError(WRONG_LENGTH)
    if not math.isclose(math.fsum(values), 1, rel_tol=0, abs_tol=SUM_TOLERANCE):
        raise DamagedRecordError(NOT_PROBABILITIES)
    return tuple(map(float, values))


def _is_probability(value: object) -> bool:
    # bool is an int in Python; NaN, which Python's JSON reader lets pass, fails the comparison.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


# ------------------------------------------------------------------ where they lie

_SUFFIX: Final = ".jsonl"
# <destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/<mm-ss-mmm>-<uuid>.jsonl
_HOUR: Final = re.compile(r"(?:^|/)(\d{4})/(\d\d)/(\d\d)/(\d\d)/[^/]+$")
_BUFFER_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class CaptureSource:
    """The `*.jsonl` files below a folder or, with boto3's client of S3, the objects under `s3://BUCKET/PREFIX`."""

    name: str
    client: Any = None

    def files(self) -> Iterator[str]:
        """Yield paths or keys in order; with SageMaker's names that is the order of time."""
        if self.client is None:
            found = sorted(path for path in Path(self.name).rglob(f"*{_SUFFIX}") if path.is_file())
            yield from (path.relative_to(self.name).as_posix() for path in found)
            return
        bucket, prefix = split_uri(self.name)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        with named(self.name):
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        yield from (key for key in keys if key.endswith(_SUFFIX))

    def open(self, file: str) -> BinaryIO:
        """Open a file for reading it line by line, without holding it in memory."""
        if self.client is None:
            return Path(self.name, file).open("rb", buffering=_BUFFER_BYTES)
        return io.BufferedReader(self._object(file), _BUFFER_BYTES)

    def read(self, file: str, offset: int, length: int) -> bytes:
        """Read a part of a file."""
        if self.client is not None:
            part: bytes = self._object(file, Range=f"bytes={offset}-{offset + length - 1}").read()
            return part
        with Path(self.name, file).open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)

    def _object(self, key: str, **part: str) -> Any:
        return self.client.get_object(Bucket=split_uri(self.name)[0], Key=key, **part)["Body"]


def capture_source(location: str, session: Any) -> CaptureSource:
    """Return the source that a folder or `s3://BUCKET/PREFIX` names.

    Raises:
        UsageError: there is no such folder, or no bucket in the URI.
    """
    if is_s3(location):
        split_uri(location)
        return CaptureSource(location, session.client("s3"))
    folder = Path(location).expanduser()
    if not location.strip() or not folder.is_dir():
        raise UsageError(f"{location!r}: there is no such folder; give one, or s3://BUCKET/PREFIX")
    return CaptureSource(str(folder))


def may_hold(file: str, since: datetime) -> bool:
    """Return whether a file can hold records from a time on, judged by the hour in its name."""
    found = _HOUR.search(file)
    if not found:
        return True
    try:
        hour = datetime(*map(int, found.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return True
    # A file is named for its first record and may go on into the next hour.
    return hour + timedelta(hours=2) > since
