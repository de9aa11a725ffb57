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
PHOTOS_A_CHILD: Final = 10
"""Most photos of a child execution, which classifies all of them at once."""
POLL_S: Final = 1.0
_FUNCTIONS: Final = ("SerializeImageFunctionName", "ClassifyImageFunctionName", "FilterInferenceFunctionName")


class RunError(CommandError):
    """A run did not succeed."""


@dataclass(frozen=True)
class Options:
    """How a run works.

    Attributes:
        photos_at_a_time: each takes one unit of the functions' concurrency.
        tolerated_percent: percentage of the children that may fail before the run is given up.
        reclassify: whether to replace outcomes, people's decisions excepted.
        announce: whether to publish outcomes, from which reviews follow.
    """

    photos_at_a_time: int = 8
    tolerated_percent: float = 5.0
    reclassify: bool = False
    announce: bool = True

    @property
    def photos_a_child(self) -> int:
        """Photos of a child: all that may run at a time, ten at most."""
        return min(PHOTOS_A_CHILD, self.photos_at_a_time)

    @property
    def children_at_a_time(self) -> int:
        """Children that fit into the photos at a time."""
        return self.photos_at_a_time // self.photos_a_child


@dataclass(frozen=True)
class Run:
    """A run that was started; `name` is also that of its folder under `runs/`."""

    name: str
    execution_arn: str
    photos: int


class Runs:
    """Runs of a deployed stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._s3, self._workflow = stack.client("s3"), stack.client("stepfunctions")
        self._bucket = stack.output("PhotoBucketName")
        self._machine = stack.output("ClassifyBatchStateMachineArn")

    def free_concurrency(self) -> int | None:
        """Return how many photos the functions can process at a time; None if it may not be read."""
        functions = self._stack.client("lambda")
        try:
            limits: list[int | None] = [
                functions.get_function_concurrency(FunctionName=self._stack.output(name)).get(
                    "ReservedConcurrentExecutions"
                )
                for name in _FUNCTIONS
            ]
            account: int = functions.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
        except ClientError as error:
            if error.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}:
                return None
            raise
        return min(account if one is None else one for one in limits)

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
                file.write(json.dumps({"s3_key": key, "version_id": version}).encode() + b"\n")
            if not count:
                return None
            file.seek(0)
            self._s3.upload_fileobj(file, self._bucket, manifest)
        start = {
            "bucket": self._bucket,
            "manifest": manifest,
            "results": f"{RUNS}{name}/results",
            "photos_a_child": options.photos_a_child,
            "children_at_a_time": options.children_at_a_time,
            "tolerated_failure_percent": options.tolerated_percent,
            "reclassify": options.reclassify,
            "announce": options.announce,
        }
        answer = self._workflow.start_execution(
            stateMachineArn=self._machine, name=name, input=json.dumps(start)
        )
        return Run(name, answer["executionArn"], count)

    def follow(self, run: Run) -> Iterator[float]:
        """Yield the share of the children that have ended, until the run has."""
        while self._workflow.describe_execution(executionArn=run.execution_arn)["status"] == "RUNNING":
            yield self._ended(run)
            time.sleep(POLL_S)

    def _ended(self, run: Run) -> float:
        found = self._workflow.list_map_runs(executionArn=run.execution_arn)["mapRuns"]
        if not found:
            return 0.0
        counts = self._workflow.describe_map_run(mapRunArn=found[0]["mapRunArn"])["executionCounts"]
        ended = sum(int(counts[name]) for name in ("succeeded", "failed", "timedOut", "aborted"))
        return ended / max(1, int(counts["total"]))

    def results(self, run: Run) -> Iterator[dict[str, Any]]:
        """Yield a line for each photo whose child has ended; `outcome` is None where a service failed."""
        prefix = f"{RUNS}{run.name}/results/"
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for key in (one["Key"] for page in pages for one in page.get("Contents", [])):
            name = key.rsplit("/", 1)[1]
            if name.startswith(("SUCCEEDED_", "FAILED_")):
                body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
                lines = (json.loads(line) for line in body.iter_lines() if line.strip())
                yield from lines if name.startswith("SUCCEEDED_") else _failed(lines)

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
            self._workflow.stop_execution(executionArn=run.execution_arn, cause="stopped by scones batch")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":  # it has ended by itself
                raise


def _failed(children: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the lines of the photos of children that failed."""
    for child in children:
        start = child["Input"] if isinstance(child["Input"], dict) else json.loads(child["Input"])
        for photo in start["Items"]:
            yield {**photo, "outcome": None, "error": child.get("Error"), "cause": child.get("Cause")}


def summarize(lines: Iterable[Mapping[str, Any]], run: Run) -> dict[str, Any]:
    """Count the lines of a run's results.

    Returns:
        `run`, `photos`, a count for each outcome, `without_outcome`, `classified` (the others had their
        outcome before), `labels`, `errors`.
    """
    outcomes: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    classified = 0
    for line in lines:
        if line["outcome"]:
            outcomes[line["outcome"]] += 1
            classified += not line["already_recorded"]
        if line["outcome"] == "ACCEPTED":
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
