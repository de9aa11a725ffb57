"""What happens now: photos in progress, outcomes of the last hour, the latest photos, a photo's trace."""

import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final

from botocore.exceptions import ClientError

from commandline.errors import UsageError
from operations.execution_log import running
from operations.photos.labelled import shortened
from operations.photos.sources import PREFIX
from operations.photos.steps import steps_of
from operations.results import Record, ResultsTable
from operations.review.queue import ReviewQueue
from operations.stack import Stack

PERIOD: Final = timedelta(hours=1)
LATEST: Final = 24  # photos in the list of the latest
MOST_BYTES: Final = 25 * 1024 * 1024
"""Largest photo that can be dropped on the page; the stack may take less (MaxObjectBytes)."""
_KEPT_S: Final = 3.0  # several pages share an answer; at least ten times what it took
_MOST_RUNNING: Final = 100


class Live:
    """The live view of a deployed stack. Its methods may be called from several threads."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._table, self._queue = ResultsTable(stack), ReviewQueue(stack)
        self._lock = threading.Lock()
        self._state: dict[str, Any] = {}
        self._kept_until = float("-inf")

    def state(self) -> dict[str, Any]:
        """Return counts of the last hour, what is in progress, and the latest photos."""
        with self._lock:
            if (begun := time.monotonic()) >= self._kept_until:
                self._state = self._ask()
                self._kept_until = begun + max(_KEPT_S, 10 * (time.monotonic() - begun))
            return self._state

    def _ask(self) -> dict[str, Any]:
        since = self._stack.now() - PERIOD
        counts, latest = self._table.arrived(since), self._table.find(since=since, newest=LATEST)
        now = {"running": self._running(), "waiting": self._queue.length()}
        shown = [_shown(record) for record in latest]
        return {"counts": counts, "states": entered_by_state(counts), "latest": shown, **now}

    def _running(self) -> int:
        """Return how many executions are in progress, at most 100; of EXPRESS, by the log."""
        try:
            found = self._stack.client("stepfunctions").list_executions(
                stateMachineArn=self._stack.output("ClassifyImageStateMachineArn"),
                statusFilter="RUNNING",
                maxResults=_MOST_RUNNING,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "StateMachineTypeNotSupported":
                raise
            return min(running(self._stack), _MOST_RUNNING)
        return len(found["executions"])

    def trace(self, key: str, version: str) -> dict[str, Any]:
        """Return a photo's record and the steps of its execution; a UsageError if it has no record."""
        self.check(key, version)
        record = self._table.get(f"s3://{self._stack.output('PhotoBucketName')}/{key}", version)
        if record is None:
            raise UsageError(f"{key} has no record in the version {version}")
        steps = steps_of(self._stack, record.execution_arn, record.started_at)
        return {"record": record.as_json(), "steps": [asdict(step) for step in steps]}

    def check(self, key: str, version: str) -> None:
        """Refuse what is no version of a photo, such as another object of the bucket, by a UsageError."""
        if not (key.startswith(PREFIX) and version):
            raise UsageError(f"{key} is no photo")

    def drop(self, name: str, body: bytes) -> str:
        """Upload a photo as a driver does, under its file name without folders; return its key."""
        if not body or len(body) > MOST_BYTES:
            raise UsageError(f"{name}: a photo has 1 to {MOST_BYTES:,} bytes, this file {len(body):,}")
        file = PurePosixPath(name.replace("\\", "/")).name
        if not file:
            raise UsageError("the file has no name")
        key = f"{PREFIX}dropped/{shortened(f'{datetime.now(UTC):%Y%m%dT%H%M%S}-{file}')}"
        bucket = self._stack.output("PhotoBucketName")
        self._stack.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        return key


def entered_by_state(counts: dict[str, int]) -> dict[str, int]:
    """Return how many photos entered each state; a rejected one ends in SerializeImage."""
    arrived, judged = sum(counts.values()), counts["ACCEPTED"] + counts["LOW_CONFIDENCE"]
    reached = {"SerializeImage": arrived, "ClassifyImage": arrived - counts["REJECTED"]}
    return {**reached, "FilterInference": judged}


def _shown(record: Record) -> dict[str, Any]:
    names = ("outcome", "label", "confidence", "error", "recorded_at", "decided_by")
    return {"key": record.key, "version": record.object_version} | {
        name: getattr(record, name) for name in names
    }
