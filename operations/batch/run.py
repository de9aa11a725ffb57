"""A run of ClassifyBatchStateMachine: its manifest, its start, its progress and its results."""

import json
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from commandline.errors import CommandError
from operations.batch.manifest import Version
from operations.outcomes import OUTCOMES
from operations.stack import Stack

RUNS: Final = "runs/"
"""Where the photo bucket has the runs' manifests and results; they expire (template.yaml)."""
POLL_S: Final = 1.0


class RunError(CommandError):
    """A run did not succeed."""


@dataclass(frozen=True)
class Options:
    """How a run works.

    Attributes:
        photos_a_batch: photos in one call of the function.
        batches_at_a_time: batches that run side by side.
        tolerated_percent: percentage of the batches that may fail before the run is given up.
        reclassify: whether outcomes that there are are replaced, people's decisions excepted.
        announce: whether outcomes are published, and doubtful photos sent for review.
    """

    photos_a_batch: int = 50
    batches_at_a_time: int = 5
    tolerated_percent: float = 5.0
    reclassify: bool = False
    announce: bool = True


@dataclass(frozen=True)
class Run:
    """A run that was started.

    Attributes:
        name: of the run, and of its folder under `runs/`.
        execution_arn: the execution.
        photos: photos in its manifest.
    """

    name: str
    execution_arn: str
    photos: int


class Runs:
    """Runs of a deployed stack.

    Args:
        stack: the deployed stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._s3, self._workflow = stack.client("s3"), stack.client("stepfunctions")
        self._bucket = stack.output("PhotoBucketName")
        self._machine = stack.output("ClassifyBatchStateMachineArn")

    def start(self, photos: Iterable[Version], options: Options) -> Run | None:
        """Write the manifest and start the execution; None if there are no photos.

        Args:
            photos: keys and versions.
            options: how the run works.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"
        manifest = f"{RUNS}{name}/manifest.jsonl"
        with tempfile.TemporaryFile() as file:  # a million photos are 150 MB
            count = 0
            for count, (key, version) in enumerate(photos, 1):  # noqa: B007 - the count is what is wanted
                file.write(json.dumps({"key": key, "version_id": version}).encode() + b"\n")
            if not count:
                return None
            file.seek(0)
            self._s3.upload_fileobj(file, self._bucket, manifest)
        start = {
            "bucket": self._bucket,
            "manifest": manifest,
            "results": f"{RUNS}{name}/results",
            "photos_a_batch": options.photos_a_batch,
            "batches_at_a_time": options.batches_at_a_time,
            "tolerated_failure_percent": options.tolerated_percent,
            "reclassify": options.reclassify,
            "announce": options.announce,
        }
        answer = self._workflow.start_execution(
            stateMachineArn=self._machine, name=name, input=json.dumps(start)
        )
        return Run(name, answer["executionArn"], count)

    def follow(self, run: Run) -> Iterator[int]:
        """Yield how many batches have ended, until the run has."""
        while self._workflow.describe_execution(executionArn=run.execution_arn)["status"] == "RUNNING":
            yield self._ended_batches(run)
            time.sleep(POLL_S)

    def _ended_batches(self, run: Run) -> int:
        found = self._workflow.list_map_runs(executionArn=run.execution_arn)["mapRuns"]
        if not found:
            return 0
        counts = self._workflow.describe_map_run(mapRunArn=found[0]["mapRunArn"])["executionCounts"]
        return sum(int(counts[name]) for name in ("succeeded", "failed", "timedOut", "aborted"))

    def results(self, run: Run) -> Iterator[dict[str, Any]]:
        """Yield the lines of a run's results: one for each photo of the batches that succeeded."""
        for key in self._result_files(run):
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
            yield from (json.loads(line) for line in body.iter_lines() if line.strip())

    def _result_files(self, run: Run) -> list[str]:
        prefix = f"{RUNS}{run.name}/results/"
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        names = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return [name for name in names if name.rsplit("/", 1)[1].startswith("SUCCEEDED_")]

    def problem(self, run: Run) -> str:
        """Return why a run did not succeed; empty if it did."""
        answer = self._workflow.describe_execution(executionArn=run.execution_arn)
        if answer["status"] == "SUCCEEDED":
            return ""
        parts = (answer["status"], answer.get("error"), answer.get("cause"))
        return ": ".join(part for part in parts if part)

    def save(self, run: Run, summary: Mapping[str, Any]) -> str:
        """Keep a run's summary beside its results; return its URI."""
        key = f"{RUNS}{run.name}/summary.json"
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=json.dumps(summary, indent=2).encode())
        return f"s3://{self._bucket}/{key}"

    def stop(self, run: Run) -> None:
        """Stop a run; what it has recorded stays, and the next one goes on from there."""
        try:
            self._workflow.stop_execution(executionArn=run.execution_arn, cause="stopped by operations batch")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":  # it has ended by itself
                raise


def summarize(lines: Iterable[Mapping[str, Any]], run: Run) -> dict[str, Any]:
    """Count the lines of a run's results.

    Args:
        lines: its results.
        run: the run.

    Returns:
        `run`, `photos`, a count for each outcome, `without_outcome` (their batches failed), `classified`
        (the others had their outcome before), `labels`, `errors`.
    """
    outcomes: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    classified = 0
    for line in lines:
        outcomes[line["outcome"]] += 1
        classified += not line["already_recorded"]
        if line["label"] and line["outcome"] == "ACCEPTED":
            labels[line["label"]] += 1
        if line["error"]:
            errors[line["error"]] += 1
    counts = {name: outcomes[name] for name in OUTCOMES}
    return {
        "run": run.name,
        "photos": run.photos,
        **counts,
        "without_outcome": run.photos - sum(counts.values()),
        "classified": classified,
        "labels": dict(labels.most_common()),
        "errors": dict(errors.most_common()),
    }
