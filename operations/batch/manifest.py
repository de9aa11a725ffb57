"""What a batch is about: the versions of photos under a prefix, or in somebody's list."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote_plus

from commandline.errors import UsageError
from operations.photos.sources import PREFIX
from operations.results import ResultsTable
from operations.s3_errors import named
from operations.stack import Stack

_KEY_NAMES: Final = ("key", "s3_key", "Key")
_VERSION_NAMES: Final = ("version_id", "VersionId", "versionId")
_SCHEME: Final = "s3://"

Version = tuple[str, str]
"""Key and version of a photo."""


def under(stack: Stack, prefix: str) -> Iterator[Version]:
    """Yield the latest versions of the photos whose keys begin with a prefix.

    Args:
        stack: the deployed stack.
        prefix: begins with `incoming/`.

    Raises:
        UsageError: it does not.
    """
    if not prefix.startswith(PREFIX):
        raise UsageError(f"--prefix {prefix}: photos are under {PREFIX}")
    pages = stack.client("s3").get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=stack.output("PhotoBucketName"), Prefix=prefix):
        yield from ((one["Key"], one["VersionId"]) for one in page.get("Versions", []) if one["IsLatest"])


def listed(stack: Stack, uri: str) -> Iterator[Version]:
    """Yield the photos of a list in S3.

    Args:
        stack: the deployed stack.
        uri: `s3://bucket/key` of one of:
            JSON lines (`.jsonl`) with the members `key` and, if not the latest, `version_id`;
            CSV (`.csv`) with a first line that names the columns `key` and perhaps `version_id`;
            the `manifest.json` of an S3 Inventory in CSV format.

    Raises:
        UsageError: it is none of them, does not exist, or is about another bucket.
    """
    bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
    if not uri.startswith(_SCHEME) or not key:
        raise UsageError(f"--manifest {uri}: give s3://BUCKET/KEY")
    text = _read(stack, bucket, key)
    if key.endswith("manifest.json"):
        rows = _inventory(stack, json.loads(text), uri)
    elif key.endswith(".csv"):
        rows = iter(csv.DictReader(io.StringIO(text)))
    elif key.endswith(".jsonl"):
        rows = (json.loads(line) for line in text.splitlines() if line.strip())
    else:
        raise UsageError(f"--manifest {uri}: none of .jsonl, .csv and an inventory's manifest.json")
    yield from _completed(stack, (_version(row, uri) for row in rows))


def _read(stack: Stack, bucket: str, key: str) -> str:
    with named(f"{_SCHEME}{bucket}/{key}"):
        body: bytes = stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return (gzip.decompress(body) if key.endswith(".gz") else body).decode("utf-8-sig")


def _inventory(stack: Stack, manifest: dict[str, Any], uri: str) -> Iterator[dict[str, str]]:
    """Yield the rows of an S3 Inventory; its keys are URL-encoded.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
    """
    if manifest.get("fileFormat") != "CSV":
        raise UsageError(f"--manifest {uri}: an inventory in {manifest.get('fileFormat')}, not in CSV format")
    if manifest.get("sourceBucket") != stack.output("PhotoBucketName"):
        raise UsageError(
            f"--manifest {uri}: an inventory of {manifest.get('sourceBucket')}, not of this stack"
        )
    columns = [name.strip() for name in manifest["fileSchema"].split(",")]
    bucket = manifest["destinationBucket"].rsplit(":", 1)[-1]
    for file in manifest["files"]:
        for values in csv.reader(io.StringIO(_read(stack, bucket, file["key"]))):
            row = dict(zip(columns, values, strict=False))
            if row.get("IsLatest", "true") == "true" and row.get("IsDeleteMarker", "false") == "false":
                yield {**row, "Key": unquote_plus(row["Key"])}


def _version(row: dict[str, Any], uri: str) -> tuple[str, str | None]:
    key = next((row[name] for name in _KEY_NAMES if row.get(name)), None)
    if not isinstance(key, str):
        raise UsageError(f"--manifest {uri}: {str(row)[:80]} has no member `key`")
    if not key.startswith(PREFIX):
        raise UsageError(f"--manifest {uri}: {key} is not under {PREFIX}")
    return key, next((str(row[name]) for name in _VERSION_NAMES if row.get(name)), None)


def _completed(stack: Stack, photos: Iterable[tuple[str, str | None]]) -> Iterator[Version]:
    """Yield the photos with their versions; where none is given, the latest, or `null` if there is no object.

    The photo of a key without an object ends REJECTED, as it does when an event names it.
    """
    s3, bucket = stack.client("s3"), stack.output("PhotoBucketName")
    for key, version in photos:
        if version is None:
            found = s3.list_object_versions(Bucket=bucket, Prefix=key, MaxKeys=1).get("Versions", [])
            latest = [one["VersionId"] for one in found if one["Key"] == key]
            version = latest[0] if latest else "null"  # noqa: PLW2901
        yield key, version


def without_outcome(stack: Stack, photos: Iterable[Version]) -> Iterator[Version]:
    """Yield the photos that have no outcome in that version, or `FAILED`.

    Args:
        stack: the deployed stack.
        photos: keys and versions.
    """
    bucket = stack.output("PhotoBucketName")
    head = f"{_SCHEME}{bucket}/"
    todo = ResultsTable(stack).unfinished((head + key, version) for key, version in photos)
    yield from ((uri.removeprefix(head), version) for uri, version in todo)
