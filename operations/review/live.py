"""What happens now: photos in progress, outcomes of the last hour, the latest photos, a photo's trace."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final

from commandline.errors import UsageError
from operations.executions import Attempts, in_progress, logged, running
from operations.outcomes import OUTCOMES
from operations.photos.labelled import shortened
from operations.photos.pictures import MOST_BYTES
from operations.photos.sources import PREFIX
from operations.photos.traces import steps_of
from operations.results import ResultsTable, timestamp
from operations.review.queue import ReviewQueue
from operations.stack import Stack

PERIOD: Final = timedelta(hours=1)
LATEST: Final = 24  # photos in the list of the latest
_KEPT_S: Final = 3.0  # several pages share an answer; at least ten times what it took
_DEFINITION_KEPT_S: Final = 60.0


class Live:
    """The live view of a deployed stack. Its methods may be called from several threads."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._table, self._queue = ResultsTable(stack), ReviewQueue(stack)
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Any]] = {}

    def state(self, outcome: str = "") -> dict[str, Any]:
        """Return figures of the last hour, what is in progress, and the latest photos (of an outcome)."""
        if outcome not in {"", *OUTCOMES}:
            raise UsageError(f"{outcome!a} is no outcome")
        with self._lock:
            steps, express = self._shared("workflow", self._workflow, _DEFINITION_KEPT_S)
            figures = self._shared("figures", lambda: self._figures(steps, express=express))
            return {**figures, "latest": self._shared(f"latest {outcome}", lambda: self._latest(outcome))}

    def _shared(self, name: str, ask: Callable[[], Any], seconds: float = _KEPT_S) -> Any:
        """Return an answer that is shared for a moment."""
        until, answer = self._kept.get(name, (float("-inf"), None))
        if (begun := time.monotonic()) >= until:
            answer = ask()
            self._kept[name] = begun + max(seconds, 10 * (time.monotonic() - begun)), answer
        return answer

    def _workflow(self) -> tuple[list[str], bool]:
        """Return the states that call a function, in their order, and whether the workflow is EXPRESS."""
        machine = self._stack.output("ClassifyImageStateMachineArn")
        found = self._stack.client("stepfunctions").describe_state_machine(stateMachineArn=machine)
        states = json.loads(found["definition"])["States"]
        steps = [name for name, one in states.items() if str(one.get("Resource")).endswith("lambda:invoke")]
        return steps, found.get("type") == "EXPRESS"

    def _figures(self, steps: list[str], *, express: bool) -> dict[str, Any]:
        counts, stack = self._table.arrived(self._stack.now() - PERIOD), self._stack
        number, trying = (running(stack), logged(stack)) if express else in_progress(stack)
        return {
            "counts": counts,
            "steps": list(_steps(steps, counts, trying)),
            "running": number,
            "waiting": self._queue.length(),
        }

    def _latest(self, outcome: str) -> list[dict[str, Any]]:
        names = ("key", "outcome", "label", "confidence", "error", "recorded_at", "decided_by")
        return [
            {"version": record.object_version, **{name: getattr(record, name) for name in names}}
            for record in self._table.newest(self._stack.now() - PERIOD, LATEST, outcome)
        ]

    def trace(self, key: str, version: str) -> dict[str, Any]:
        """Return a photo's record and the steps of its execution; a UsageError if it has no record."""
        if not is_photo(key, version):
            raise UsageError(f"{key} is no photo")
        record = self._table.get(f"s3://{self._stack.output('PhotoBucketName')}/{key}", version)
        if record is None:
            raise UsageError(f"{key} has no record in the version {version}")
        steps = steps_of(self._stack, record.execution_arn, record.started_at)
        return {"record": record.as_json(), "steps": [asdict(step) for step in steps]}

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


def is_photo(key: str, version: str) -> bool:
    """Return whether it can be a version of a photo, not of another object of the bucket."""
    return key.startswith(PREFIX) and version != ""


def _steps(steps: list[str], counts: dict[str, int], trying: Iterable[Attempts]) -> Iterator[dict[str, Any]]:
    """Yield how many photos went into each step, and what is stuck there; others with stuck photos follow."""
    arrived, judged = sum(counts.values()), counts["ACCEPTED"] + counts["LOW_CONFIDENCE"]
    entered = dict.fromkeys(steps, arrived - counts["REJECTED"])  # which end in the first
    entered |= dict.fromkeys(steps[-1:], judged) | dict.fromkeys(steps[:1], arrived)
    stuck: dict[str, list[Attempts]] = {}
    for one in trying:
        if one.error:
            stuck.setdefault(one.step, []).append(one)
    for name in [*steps, *sorted(stuck.keys() - {*steps})]:
        here = stuck.get(name, [])
        since = min((one.since for one in here if one.since), default=None)
        yield {
            "name": name or "the workflow",
            "entered": entered.get(name),
            "stuck": len(here),
            "since": timestamp(since) if since else None,
            "error": here[-1].error if here else "",
        }
