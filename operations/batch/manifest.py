"""What a batch is about: the photos under a prefix, or in somebody's list."""

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

from commandline.errors import UsageError
from commandline.escapes import visible
from operations.photos.sources import PREFIX
from operations.photos.versions import retained
from operations.results import ResultsTable
from operations.s3_errors import named
from operations.stack import Stack

_KEYS: Final = ("s3_key", "key", "Key")
_VERSIONS: Final = ("version_id", "VersionId", "versionId")
_BUCKETS: Final = ("s3_bucket", "bucket", "Bucket")
_INVENTORY: Final = ("Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker")
_SCHEME: Final = "s3://"
_LONGEST: Final = 1024  # bytes, of keys and versions

Version = tuple[str, str]
"""Key and version of a photo."""
Row = dict[str, Any]


class UnreadableError(ValueError):
    """A list is not what its name says; the text says why."""


class Listed:
    """Photos that a run is about.

    Attributes:
        found: photos so far.
        left_out: how many are no photos of the run, by the reason.
    """

    def __init__(self, stack: Stack, versions: Iterable[Version], left_out: Counter[str]) -> None:
        self._stack, self._versions = stack, versions
        self.found, self.left_out = 0, left_out

    def photos(self) -> Iterator[Version]:
        """Yield each photo once."""
        seen: set[int] = set()
        for photo in self._versions:
            digest = hash(photo)  # 64 bits: a million photos are 60 MB
            if digest in seen:
                self.left_out["listed before"] += 1
            else:
                seen.add(digest)
                self.found += 1
                yield photo

    def without_outcome(self) -> Iterator[Version]:
        """Yield the photos that have no outcome in that version, or `FAILED`."""
        head = f"{_SCHEME}{self._stack.output('PhotoBucketName')}/"
        todo = ResultsTable(self._stack).unfinished((head + key, version) for key, version in self.photos())
        yield from ((uri.removeprefix(head), version) for uri, version in todo)


def under(stack: Stack, prefix: str) -> Listed:
    """Return the latest versions of the photos under a prefix, those whose records have expired left out."""
    if not prefix.startswith(PREFIX):
        raise UsageError(f"--prefix {visible(prefix)}: photos are under {PREFIX}")
    return Listed(stack, ((one["Key"], one["VersionId"]) for one in retained(stack, prefix)), Counter())


def listed(stack: Stack, uri: str) -> Listed:
    """Return the photos of a list in S3: JSON lines, a CSV, or an S3 Inventory in CSV.

    JSON lines have the members `key` and, if not the latest, `version_id`; a CSV's first line names these
    columns, or it is the data of an inventory or the manifest of S3 Batch Operations.

    Raises:
        UsageError: it is no `s3://BUCKET/KEY`; or, when photos are read, there is no such list in S3.
    """
    bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
    if not uri.startswith(_SCHEME) or not bucket or not key:
        raise UsageError(f"--manifest {visible(uri)}: give s3://BUCKET/KEY")
    left_out: Counter[str] = Counter()

    def versions() -> Iterator[Version]:
        try:
            yield from _completed(stack, _photos(stack, _rows(stack, bucket, key), left_out))
        except UnreadableError as error:
            raise UsageError(f"--manifest {visible(uri)}: {visible(str(error))}") from error

    return Listed(stack, versions(), left_out)


def _completed(stack: Stack, photos: Iterable[tuple[str, str | None]]) -> Iterator[Version]:
    """Yield photos with their versions; `null` where there is no object, which ends REJECTED."""
    s3, bucket = stack.client("s3"), stack.output("PhotoBucketName")
    for key, version in photos:
        if version is None:
            page = s3.list_object_versions(Bucket=bucket, Prefix=key, MaxKeys=1)
            latest = (one for one in page.get("Versions", []) if one["Key"] == key and one["IsLatest"])
            version = next((one["VersionId"] for one in latest), "null")  # noqa: PLW2901
        yield key, version


def _photos(stack: Stack, rows: Iterable[Row], left_out: Counter[str]) -> Iterator[tuple[str, str | None]]:
    """Yield keys under `incoming/` and versions as they are listed."""
    bucket = stack.output("PhotoBucketName")
    for number, row in enumerate(rows, 1):
        key, version = (_text(row, names, number) for names in (_KEYS, _VERSIONS))
        if key is None:
            raise UnreadableError(f"row {number} has no `key`: {str(row)[:80]}")
        if any(row[name] != bucket for name in _BUCKETS if row.get(name)):
            left_out["of another bucket"] += 1
        elif key.startswith(PREFIX) and key != PREFIX:
            yield key, version
        else:
            left_out[f"outside {PREFIX}"] += 1


def _text(row: Row, names: Iterable[str], number: int) -> str | None:
    """Return the first member of a row that is not empty."""
    value = next((row[name] for name in names if row.get(name)), None)
    if value is None or _is_name(value):
        return value
    raise UnreadableError(f"row {number}: neither a key nor a version: {str(value)[:80]}")


def _is_name(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value.encode()) <= _LONGEST
    except UnicodeEncodeError:
        return False


def _rows(stack: Stack, bucket: str, key: str) -> Iterator[Row]:
    name, text = key.removesuffix(".gz"), _read(stack, bucket, key)
    if name.endswith("manifest.json"):
        return _inventory(stack, text)
    if name.endswith(".csv"):
        return _csv(text, stack.output("PhotoBucketName"))
    if name.endswith(".jsonl"):
        return _json_lines(text)
    raise UnreadableError(
        "its name says none of JSON lines (.jsonl), CSV (.csv) and an S3 Inventory's manifest.json"
    )


def _read(stack: Stack, bucket: str, key: str) -> str:
    with named(f"{_SCHEME}{bucket}/{key}"):
        body: bytes = stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        return (gzip.decompress(body) if key.endswith(".gz") else body).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError("it is not in UTF-8: save it as UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError(f"{key} cannot be decompressed: {error}") from error


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{what} is not valid JSON: {text.strip()[:80]}") from error


def _json_lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):  # U+2028 and the like end no line
        if line.strip():
            row = _json(line, f"line {number}")
            if not isinstance(row, dict):
                raise UnreadableError(f"line {number} is no JSON object: {line[:80]}")
            yield row


def _csv_lines(text: str) -> Iterator[list[str]]:
    try:
        yield from filter(None, csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise UnreadableError(f"it is no CSV: {error}") from error


def _csv(text: str, bucket: str) -> Iterator[Row]:
    lines = _csv_lines(text)
    first = [name.strip() for name in next(lines, [])]
    if set(first) & set(_KEYS):
        yield from (dict(zip(first, values, strict=False)) for values in lines)
    elif first and first[0] == bucket:
        yield from _inventory_rows([first, *lines], _INVENTORY)
    elif first:
        raise UnreadableError(f"its first line names no column `key`: {','.join(first)[:80]}")


def _inventory(stack: Stack, text: str) -> Iterator[Row]:
    """Yield the rows of an S3 Inventory.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
    """
    manifest = _json(text, "it")
    if not isinstance(manifest, dict) or "sourceBucket" not in manifest:
        raise UnreadableError("it is no S3 Inventory's manifest")
    if manifest["sourceBucket"] != stack.output("PhotoBucketName"):
        raise UnreadableError(f"an inventory of {manifest['sourceBucket']}, not of this stack's bucket")
    if manifest.get("fileFormat") != "CSV":
        raise UnreadableError(f"an inventory in {manifest.get('fileFormat')}, not in CSV format")
    try:
        columns = [name.strip() for name in manifest["fileSchema"].split(",")]
        bucket = manifest["destinationBucket"].rsplit(":", 1)[-1]
        keys = [str(file["key"]) for file in manifest["files"]]
        columns.index("Key")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnreadableError("it lacks fileSchema (with Key), destinationBucket or files") from error
    for key in keys:
        yield from _inventory_rows(_csv_lines(_read(stack, bucket, key)), columns)


def _inventory_rows(lines: Iterable[list[str]], columns: Sequence[str]) -> Iterator[Row]:
    """Yield the latest versions; an inventory's keys are URL-encoded."""
    for values in lines:
        row = dict(zip(columns, values, strict=False))
        if row.get("IsLatest", "true") == "true" and row.get("IsDeleteMarker", "false") == "false":
            yield {**row, "Key": unquote_plus(row.get("Key", ""))}
