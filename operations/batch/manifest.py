"""What a batch is about: the photos under a prefix, or in somebody's list."""

import csv
import gzip
import io
import json
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote_plus

from commandline.errors import UsageError
from commandline.escapes import visible
from operations.photos.sources import PREFIX
from operations.photos.versions import retained
from operations.results import ResultsTable
from operations.s3_errors import named
from operations.stack import Stack

_KEY_NAMES: Final = ("s3_key", "key", "Key")
_VERSION_NAMES: Final = ("version_id", "VersionId", "versionId")
_BUCKET_NAMES: Final = ("s3_bucket", "bucket", "Bucket")
_INVENTORY: Final = ("Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker")
_SCHEME: Final = "s3://"
_LONGEST: Final = 1024  # bytes, of keys and versions
_FORMS: Final = "JSON lines (.jsonl), CSV (.csv) or the manifest.json of an S3 Inventory, perhaps .gz"

Version = tuple[str, str]
"""Key and version of a photo."""
Row = dict[str, Any]


class Listed(ABC):
    """Photos that a run is about.

    Attributes:
        found: photos so far.
        left_out: how many are no photos of the run, by the reason.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack, self._bucket = stack, stack.output("PhotoBucketName")
        self.found, self.left_out = 0, Counter[str]()

    @abstractmethod
    def _versions(self) -> Iterator[Version]: ...

    def photos(self) -> Iterator[Version]:
        """Yield each photo once."""
        seen: set[int] = set()
        for photo in self._versions():
            digest = hash(photo)  # 64 bits: a million photos are 60 MB
            if digest in seen:
                self.left_out["listed before"] += 1
            else:
                seen.add(digest)
                self.found += 1
                yield photo


class Prefix(Listed):
    """The latest versions of the photos under a prefix, those whose records have expired left out."""

    def __init__(self, stack: Stack, prefix: str) -> None:
        super().__init__(stack)
        if not prefix.startswith(PREFIX):
            raise UsageError(f"--prefix {visible(prefix)}: photos are under {PREFIX}")
        self._prefix = prefix

    def _versions(self) -> Iterator[Version]:
        return ((one["Key"], one["VersionId"]) for one in retained(self._stack, self._prefix))


class Manifest(Listed):
    """The photos of a list in S3: JSON lines, a CSV, or an S3 Inventory in CSV.

    JSON lines have the members `key` and, if not the latest, `version_id`; a CSV's first line names these
    columns, or it is the data of an inventory or the manifest of S3 Batch Operations.
    """

    def __init__(self, stack: Stack, uri: str) -> None:
        super().__init__(stack)
        self._uri = uri
        self._list_bucket, _, self._key = uri.removeprefix(_SCHEME).partition("/")
        if not uri.startswith(_SCHEME) or not self._list_bucket or not self._key:
            raise UsageError(f"--manifest {visible(uri)}: give s3://BUCKET/KEY")

    def _versions(self) -> Iterator[Version]:
        """Yield the photos with their versions; `null` where there is no object, which ends REJECTED."""
        s3 = self._stack.client("s3")
        for key, version in self._listed():
            if version is None:
                page = s3.list_object_versions(Bucket=self._bucket, Prefix=key, MaxKeys=1)
                latest = (one for one in page.get("Versions", []) if one["Key"] == key and one["IsLatest"])
                version = next((one["VersionId"] for one in latest), "null")  # noqa: PLW2901
            yield key, version

    def _listed(self) -> Iterator[tuple[str, str | None]]:
        """Yield keys under `incoming/` and versions as they are listed."""
        for number, row in enumerate(self._rows(), 1):
            key, version = (self._text(row, names, number) for names in (_KEY_NAMES, _VERSION_NAMES))
            if key is None:
                raise self._wrong(f"row {number} has no `key`: {visible(str(row))[:80]}")
            if any(row[name] != self._bucket for name in _BUCKET_NAMES if row.get(name)):
                self.left_out["of another bucket"] += 1
            elif key.startswith(PREFIX) and key != PREFIX:
                yield key, version
            else:
                self.left_out[f"outside {PREFIX}"] += 1

    def _text(self, row: Row, names: Iterable[str], number: int) -> str | None:
        """Return the first member of a row that is not empty."""
        value = next((row[name] for name in names if row.get(name)), None)
        if value is None:
            return None
        try:
            if isinstance(value, str) and len(value.encode()) <= _LONGEST:
                return value
        except UnicodeEncodeError:
            pass
        raise self._wrong(f"row {number}: neither a key nor a version: {visible(str(value))[:80]}")

    def _rows(self) -> Iterator[Row]:
        name, text = self._key.removesuffix(".gz"), self._read(self._list_bucket, self._key)
        if name.endswith("manifest.json"):
            return self._inventory(text)
        if name.endswith(".csv"):
            return self._csv(text)
        if name.endswith(".jsonl"):
            return self._json_lines(text)
        raise self._wrong(f"its name says none of {_FORMS}")

    def _json_lines(self, text: str) -> Iterator[Row]:
        for number, line in enumerate(text.split("\n"), 1):  # U+2028 and the like end no line
            if line.strip():
                row = self._json(line, f"line {number}")
                if not isinstance(row, dict):
                    raise self._wrong(f"line {number} is no JSON object: {visible(line)[:80]}")
                yield row

    def _csv(self, text: str) -> Iterator[Row]:
        lines = self._csv_lines(text)
        names = next(lines, [])
        if {name.strip() for name in names} & set(_KEY_NAMES):
            yield from (dict(zip(map(str.strip, names), values, strict=False)) for values in lines)
        elif names and names[0] == self._bucket:
            yield from self._inventory_rows([names, *lines], _INVENTORY)
        elif names:
            raise self._wrong(f"its first line names no column `key`: {visible(','.join(names))[:80]}")

    def _csv_lines(self, text: str) -> Iterator[list[str]]:
        try:
            yield from filter(None, csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error as error:
            raise self._wrong(f"it is no CSV: {error}") from error

    def _inventory(self, text: str) -> Iterator[Row]:
        """Yield the rows of an S3 Inventory.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
        """
        manifest = self._json(text, "it")
        if not isinstance(manifest, dict) or "sourceBucket" not in manifest:
            raise self._wrong("it is no S3 Inventory's manifest")
        if manifest["sourceBucket"] != self._bucket:
            raise self._wrong(f"an inventory of {manifest['sourceBucket']}, not of this stack's bucket")
        if manifest.get("fileFormat") != "CSV":
            raise self._wrong(f"an inventory in {manifest.get('fileFormat')}, not in CSV format")
        try:
            columns = [name.strip() for name in manifest["fileSchema"].split(",")]
            bucket = manifest["destinationBucket"].rsplit(":", 1)[-1]
            keys = [file["key"] for file in manifest["files"]]
            columns.index("Key")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self._wrong("it lacks fileSchema (with Key), destinationBucket or files") from error
        for key in keys:
            yield from self._inventory_rows(self._csv_lines(self._read(bucket, key)), columns)

    def _inventory_rows(self, lines: Iterable[list[str]], columns: Iterable[str]) -> Iterator[Row]:
        """Yield the latest versions; an inventory's keys are URL-encoded."""
        for values in lines:
            row = dict(zip(columns, values, strict=False))
            if row.get("IsLatest", "true") == "true" and row.get("IsDeleteMarker", "false") == "false":
                yield {**row, "Key": unquote_plus(row.get("Key", ""))}

    def _json(self, text: str, what: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"{what} is not valid JSON: {visible(text.strip())[:80]}") from error

    def _read(self, bucket: str, key: str) -> str:
        with named(f"{_SCHEME}{bucket}/{key}"):
            body: bytes = self._stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            return (gzip.decompress(body) if key.endswith(".gz") else body).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self._wrong("it is not in UTF-8: save it as UTF-8") from error
        except (OSError, EOFError, zlib.error) as error:
            raise self._wrong(f"{key} cannot be decompressed: {error}") from error

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"--manifest {visible(self._uri)}: {what}")


def without_outcome(stack: Stack, photos: Iterable[Version]) -> Iterator[Version]:
    """Yield the photos that have no outcome in that version, or `FAILED`."""
    head = f"{_SCHEME}{stack.output('PhotoBucketName')}/"
    todo = ResultsTable(stack).unfinished((head + key, version) for key, version in photos)
    yield from ((uri.removeprefix(head), version) for uri, version in todo)
