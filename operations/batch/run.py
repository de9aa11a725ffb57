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
AT_A_TIME: Final = 8
PHOTOS_A_CHILD: Final = 10
"""Most photos of a child execution, which classifies all of them at once."""
POLL_S: Final = 1.0
_FUNCTIONS: Final = ("SerializeImageFunctionName", "ClassifyImageFunctionName", "FilterInferenceFunctionName")


class RunError(CommandError):
    """A run did not succeed."""


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
        self,
        photos: Iterable[Version],
        *,
        at_a_time: int = AT_A_TIME,
        tolerate: float = 5.0,
        reclassify: bool = False,
        announce: bool = True,
    ) -> Run | None:
        """Write the manifest and start the execution; None if there are no photos.

        Args:
            photos: keys and versions.
            at_a_time: photos, each of which takes one unit of the functions' concurrency.
            tolerate: percentage of the children that may fail before the run is given up.
            reclassify: whether to replace outcomes, people's decisions excepted.
            announce: whether to publish outcomes, from which reviews follow.
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
            "tolerated_failure_percent": tolerate,
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
        for key in (one["Key"] for page in pages for one in page.get("Contents", [])):
            kind = key.rsplit("/", 1)[1].partition("_")[0]
            if kind in {"SUCCEEDED", "FAILED"}:
                body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
                lines = (json.loads(line) for line in body.iter_lines() if line.strip())
                yield from lines if kind == "SUCCEEDED" else _failed(lines)

    def problem(self, run: Run) -> str:
        """Return why a run did not succeed; empty if it did."""
        answer = self._workflow.describe_execution(executionArn=run.execution_arn)
        parts = (answer["status"], answer.get("error"), answer.get("cause"))
        return "" if answer["status"] == "SUCCEEDED" else ": ".join(filter(None, parts))

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
        for photo in json.loads(child["Input"])["Items"]:
            yield {**photo, "outcome": None, "error": child.get("Error"), "cause": child.get("Cause")}


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
