"""Batches: the photos under a prefix or in somebody's list, and the run that classifies them."""

import csv
import gzip
import io
import json
import tempfile
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError

from commandline.errors import UsageError
from commandline.terminal import visible
from operations.outcomes import OUTCOMES
from operations.photos.sources import PREFIX
from operations.photos.traces import retained
from operations.results import ResultsTable
from operations.s3 import SCHEME, is_s3, read, split_uri
from operations.stack import Stack

RUNS: Final = "runs/"
"""Where the photo bucket has the runs' manifests and results; they expire (template.yaml)."""
AT_A_TIME: Final = 8
PHOTOS_A_CHILD: Final = 10
"""Most photos of a child execution, which classifies all of them at once."""
_TOLERATED_PERCENT: Final = 5.0  # of the children that fail, before the run is given up
POLL_S: Final = 1.0
_FUNCTIONS: Final = ("SerializeImageFunctionName", "ClassifyImageFunctionName", "FilterInferenceFunctionName")

_KEYS: Final = ("s3_key", "key", "Key")
_VERSIONS: Final = ("version_id", "VersionId", "versionId")
_BUCKETS: Final = ("s3_bucket", "bucket", "Bucket")
_INVENTORY: Final = ("Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker")
_LONGEST: Final = 1024  # bytes, of keys and versions

Version = tuple[str, str]
"""Key and version of a photo."""
Row = dict[str, Any]


class UnreadableError(ValueError):
    """A list is not what its name says; the text says why."""


class Listed:
    """Photos that a run is about: how many were `found` so far, and `left_out` by the reason."""

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
        head = f"{SCHEME}{self._stack.output('PhotoBucketName')}/"
        versions = ((head + key, version) for key, version in self.photos())
        todo = ResultsTable(self._stack).missing(versions, or_failed=True)
        yield from ((uri.removeprefix(head), version) for uri, version in todo)


def under(stack: Stack, prefix: str) -> Listed:
    """Return the latest versions of the photos under a prefix, those whose records have expired left out."""
    if not prefix.startswith(PREFIX):
        raise UsageError(f"--prefix {visible(prefix)}: photos are under {PREFIX}")
    return Listed(stack, ((one["Key"], one["VersionId"]) for one in retained(stack, prefix)), Counter())


def listed(stack: Stack, uri: str) -> Listed:
    """Return the photos of a list in S3: JSON lines, a CSV, or an S3 Inventory in CSV.

    JSON lines have the members `key` and, if not the latest, `version_id`; a CSV's first line names these
    columns, or it is the data of an inventory or the manifest of S3 Batch Operations. A UsageError, if there
    is no such list, comes when photos are read.
    """
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    if not is_s3(uri) or not bucket or not key:
        raise UsageError(f"--manifest {visible(uri)}: give s3://BUCKET/KEY")
    left_out: Counter[str] = Counter()

    def versions() -> Iterator[Version]:
        try:
            yield from _photos(stack, _rows(stack, uri), left_out)
        except (UnreadableError, UnicodeDecodeError, csv.Error) as error:
            why = f"it is no CSV: {error}" if isinstance(error, csv.Error) else str(error)
            why = "it is not in UTF-8: save it as UTF-8" if isinstance(error, UnicodeDecodeError) else why
            raise UsageError(f"--manifest {visible(uri)}: {visible(why)}") from error

    return Listed(stack, versions(), left_out)


def _photos(stack: Stack, rows: Iterable[Row], left_out: Counter[str]) -> Iterator[Version]:
    """Yield keys under `incoming/` with the version that is listed, or else the latest."""
    s3, bucket = stack.client("s3"), stack.output("PhotoBucketName")
    for number, row in enumerate(rows, 1):
        key, version = (_text(row, names, number) for names in (_KEYS, _VERSIONS))
        if key is None:
            raise UnreadableError(f"row {number} has no `key`: {str(row)[:80]}")
        if any(row[name] != bucket for name in _BUCKETS if row.get(name)):
            left_out["of another bucket"] += 1
        elif not key.startswith(PREFIX) or key == PREFIX:
            left_out[f"outside {PREFIX}"] += 1
        elif version:
            yield key, version
        else:
            page = s3.list_object_versions(Bucket=bucket, Prefix=key, MaxKeys=1)
            latest = (one for one in page.get("Versions", []) if one["Key"] == key and one["IsLatest"])
            # `null` where there is no object, which ends REJECTED.
            yield key, next((one["VersionId"] for one in latest), "null")


def _text(row: Row, names: Iterable[str], number: int) -> str | None:
    """Return the first member of a row that is not empty; None if there is none."""
    value = next((row[name] for name in names if row.get(name)), None)
    with suppress(AttributeError, UnicodeEncodeError):  # no text, or a lone surrogate
        if value is None or len(value.encode()) <= _LONGEST:
            return value
    raise UnreadableError(f"row {number}: neither a key nor a version: {str(value)[:80]}")


def _rows(stack: Stack, uri: str) -> Iterator[Row]:
    name, text, bucket = uri.removesuffix(".gz"), _read(stack, uri), stack.output("PhotoBucketName")
    if name.endswith("manifest.json"):
        yield from _inventory(stack, text)
    elif name.endswith(".csv"):
        lines = _csv_lines(text)
        first = [name.strip() for name in next(lines, [])]
        if set(first) & set(_KEYS):
            yield from (dict(zip(first, values, strict=False)) for values in lines)
        elif first and first[0] == bucket:
            yield from _inventory_rows([first, *lines], _INVENTORY)
        elif first:
            raise UnreadableError(f"its first line names no column `key`: {','.join(first)[:80]}")
    elif name.endswith(".jsonl"):
        for number, line in enumerate(text.split("\n"), 1):  # U+2028 and the like end no line
            if line.strip():
                row = _json(line, f"line {number}")
                if not isinstance(row, dict):
                    raise UnreadableError(f"line {number} is no JSON object: {line[:80]}")
                yield row
    else:
        raise UnreadableError(
            "its name says none of JSON lines (.jsonl), CSV (.csv) and an S3 Inventory's manifest.json"
        )


def _read(stack: Stack, uri: str) -> str:
    body = read(uri, stack.session)
    try:
        return (gzip.decompress(body) if uri.endswith(".gz") else body).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError(f"{split_uri(uri)[1]} cannot be decompressed: {error}") from error


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{what} is not valid JSON: {text.strip()[:80]}") from error


def _csv_lines(text: str) -> Iterator[list[str]]:
    return filter(None, csv.reader(io.StringIO(text, newline=""), strict=True))


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
        yield from _inventory_rows(_csv_lines(_read(stack, f"{SCHEME}{bucket}/{key}")), columns)


def _inventory_rows(lines: Iterable[list[str]], columns: Sequence[str]) -> Iterator[Row]:
    """Yield the latest versions; an inventory's keys are URL-encoded."""
    for values in lines:
        row = dict(zip(columns, values, strict=False))
        if row.get("IsLatest", "true") == "true" and row.get("IsDeleteMarker", "false") == "false":
            yield {**row, "Key": unquote_plus(row.get("Key", ""))}


@dataclass(frozen=True)
class Run:
    """A run that was started; its folder under `runs/` has its name."""

    name: str
    execution_arn: str
    photos: int


class Runs:
    """Runs of a deployed stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._bucket = stack, stack.output("PhotoBucketName")
        self._s3, self._workflow = stack.client("s3"), stack.client("stepfunctions")

    def free_concurrency(self) -> int | None:
        """Return how many photos the functions can process at a time; None if that may not be read."""
        client, output = self._stack.client("lambda"), self._stack.output
        try:
            reserved = [client.get_function_concurrency(FunctionName=output(name)) for name in _FUNCTIONS]
            account: int = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
        except ClientError as error:
            if error.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}:
                return None
            raise
        free: list[int] = [one.get("ReservedConcurrentExecutions", account) for one in reserved]
        return min(free)

    def start(
        self, photos: Iterable[Version], at_a_time: int, *, reclassify: bool = False, announce: bool = True
    ) -> Run | None:
        """Write the manifest and start the execution; None if there are no photos.

        Each of the photos `at_a_time` takes one unit of the functions' concurrency. `reclassify` replaces
        outcomes but people's decisions; without `announce` no outcome is published, and no review follows.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"
        manifest = f"{RUNS}{name}/manifest.jsonl"
        with tempfile.TemporaryFile() as file:  # a million photos are 150 MB
            count = 0
            for count, (key, version) in enumerate(photos, 1):  # noqa: B007 - the count is what is wanted
                file.write(json.dumps({"s3_key": key, "version_id": version}).encode() + b"\n")
            if not count:
                return None
            file.seek(0)
            self._s3.upload_fileobj(file, self._bucket, manifest)
        a_child = min(PHOTOS_A_CHILD, at_a_time)
        start = {
            "bucket": self._bucket,
            "manifest": manifest,
            "results": f"{RUNS}{name}/results",
            "photos_a_child": a_child,
            "children_at_a_time": at_a_time // a_child,
            "tolerated_failure_percent": _TOLERATED_PERCENT,
            "reclassify": reclassify,
            "announce": announce,
        }
        machine = self._stack.output("ClassifyBatchStateMachineArn")
        answer = self._workflow.start_execution(stateMachineArn=machine, name=name, input=json.dumps(start))
        return Run(name, answer["executionArn"], count)

    def follow(self, run: Run) -> Iterator[float]:
        """Yield the share of the children that have ended, until the run has."""
        while self._workflow.describe_execution(executionArn=run.execution_arn)["status"] == "RUNNING":
            for found in self._workflow.list_map_runs(executionArn=run.execution_arn)["mapRuns"]:
                counts = self._workflow.describe_map_run(mapRunArn=found["mapRunArn"])["executionCounts"]
                ended = sum(int(counts[name]) for name in ("succeeded", "failed", "timedOut", "aborted"))
                yield ended / max(1, int(counts["total"]))
            time.sleep(POLL_S)

    def results(self, run: Run) -> Iterator[dict[str, Any]]:
        """Yield a line for each photo whose child has ended; `outcome` is None where a service failed."""
        prefix = f"{RUNS}{run.name}/results/"
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for key in filter(None, pages.search("Contents[].Key")):
            kind = key.rsplit("/", 1)[1].partition("_")[0]
            if kind not in {"SUCCEEDED", "FAILED"}:
                continue
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
            for line in (json.loads(line) for line in body.iter_lines() if line.strip()):
                if kind == "SUCCEEDED":
                    yield line
                else:  # a child that failed, with its photos
                    why = {"outcome": None, "error": line.get("Error"), "cause": line.get("Cause")}
                    yield from ({**photo, **why} for photo in json.loads(line["Input"])["Items"])

    def problem(self, run: Run) -> str:
        """Return why a run did not succeed; empty if it did."""
        answer = self._workflow.describe_execution(executionArn=run.execution_arn)
        parts = (answer["status"], answer.get("error"), answer.get("cause"))
        return "" if answer["status"] == "SUCCEEDED" else ": ".join(filter(None, parts))

    def save(self, run: Run, summary: Mapping[str, Any]) -> str:
        """Keep a run's summary beside its results; return its URI."""
        key = f"{RUNS}{run.name}/summary.json"
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=json.dumps(summary, indent=2).encode())
        return f"{SCHEME}{self._bucket}/{key}"

    def stop(self, run: Run) -> None:
        """Stop a run; what it has recorded stays, and the next one goes on from there."""
        try:
            self._workflow.stop_execution(executionArn=run.execution_arn, cause="stopped by scones batch")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":  # it has ended by itself
                raise


def summarize(lines: Iterable[Mapping[str, Any]], run: Run) -> dict[str, Any]:
    """Count a run's lines by outcome, label and error; `classified` are those without an earlier outcome."""
    outcomes, labels, errors = Counter[str](), Counter[str](), Counter[str]()
    classified = 0
    for line in lines:
        outcomes[line["outcome"] or ""] += 1
        labels[line["label"] if line["outcome"] == "ACCEPTED" else ""] += 1
        errors[line["error"] or ""] += 1
        classified += bool(line["outcome"]) and not line["already_recorded"]
    counts = {name: outcomes[name] for name in OUTCOMES}
    return {
        "run": run.name,
        "photos": run.photos,
        **counts,
        "without_outcome": run.photos - sum(counts.values()),
        "classified": classified,
        "labels": {name: count for name, count in labels.most_common() if name},
        "errors": {name: count for name, count in errors.most_common() if name},
    }
