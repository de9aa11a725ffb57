"""What became of photos: records, events, review messages, dead letters, alarms; and killing parts."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.state import StateFolder
from operations.__main__ import main
from tests.support.local_cloud import Listener, LocalCloud, environment_of

OUTCOME_EVENTS = {"source": ["scones.vehicle-classification"], "detail-type": ["Vehicle Classified"]}
LOG = "/aws/vendedlogs/states/scones-classify-image"
FUNCTIONS = "ministack-lambda"
MODEL = "sagemaker/worker.py"
DESK = "localcloud.desk"
QUEUES = {"UndeliveredEventsAlarm": "UndeliveredEventsQueue", "ReviewGivenUpAlarm": "ReviewDeadLetterQueue"}
"""Dead-letter queues, by the alarm that watches them."""


@dataclass
class Seen:
    """What was seen of one photo key."""

    outcomes: list[str]  # `outcome error` of each record, in the order of their recording
    debts: int  # records with `undelivered`
    events: list[str]  # outcomes that were published
    reviews: int  # review messages
    alarms: list[str]  # that would be raised


class Observer:
    """Hears what a local cloud publishes, and sends for review."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.faults = StateFolder(cloud.folder).faults
        self._lines: list[str] = []
        resources = cloud.client("cloudformation").describe_stack_resources(StackName="scones")
        self._ids = {
            one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources["StackResources"]
        }
        self.machines = {
            "STANDARD": self._ids["ClassifyImageStateMachine"],
            "EXPRESS": self._ids["ClassifyImageExpressStateMachine"],
        }
        self._ended: dict[str, dict[str, Any]] = {}
        self._events = Listener(cloud).to_events(OUTCOME_EVENTS)
        self._reviews = Listener(cloud, cloud.outputs["ReviewQueueUrl"])

    def uri(self, key: str) -> str:
        """Return the URI of a photo."""
        return f"s3://{self.cloud.outputs['PhotoBucketName']}/{key}"

    def see(self, keys: Iterable[str]) -> dict[str, Seen]:
        """Return what there is of photos now, by their keys."""
        events = [one["detail"] for one in self._events.messages()]
        reviews, letters = self._reviews.messages(), self._letters()
        self._refresh()
        return {key: self._seen(key, events, reviews, letters) for key in keys}

    def _seen(self, key: str, events: Any, reviews: Any, letters: Mapping[str, list[str]]) -> Seen:
        uri = self.uri(key)
        records = sorted(self.cloud.records(key), key=lambda one: str(one["recorded_at"]))
        published = [one["outcome"] for one in events if one["object_uri"] == uri]
        ended = [one for one in self.executions(key, refresh=False) if one["status"] != "SUCCEEDED"]
        raised = {
            "FailedPhotosAlarm": "FAILED" in published,
            "PhotosWithoutOutcomeAlarm": any(map(without_outcome, ended)),
            **{alarm: any(key in body for body in bodies) for alarm, bodies in letters.items()},
        }
        return Seen(
            outcomes=[f"{one['outcome']} {one.get('error') or ''}".strip() for one in records],
            debts=sum("undelivered" in one for one in records),
            events=published,
            reviews=sum(one["object_uri"] == uri for one in reviews),
            alarms=[name for name, value in raised.items() if value],
        )

    def _letters(self) -> dict[str, list[str]]:
        """Return the messages of the dead-letter queues, by their alarms, and leave them there."""
        sqs, found = self.cloud.client("sqs"), dict[str, list[str]]()
        for alarm, queue in QUEUES.items():
            request = {"QueueUrl": self._ids[queue], "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
            found[alarm] = [one["Body"] for one in sqs.receive_message(**request).get("Messages", [])]
        return found

    def _refresh(self) -> None:
        workflow = self.cloud.client("stepfunctions")
        pages = workflow.get_paginator("list_executions").paginate(stateMachineArn=self.machines["STANDARD"])
        for arn in [one["executionArn"] for page in pages for one in page["executions"]]:
            if self._ended.get(arn, {"status": "RUNNING"})["status"] == "RUNNING":
                self._ended[arn] = workflow.describe_execution(executionArn=arn)
        for line in self._logged():
            found = self._ended.setdefault(line["execution_arn"], {"status": "RUNNING", "input": "{}"})
            found |= {name: line["details"][name] for name in ("input", "error") if name in line["details"]}
            if line["type"] != "ExecutionStarted":
                found["status"] = line["type"].removeprefix("Execution").upper()

    def _logged(self) -> Iterator[dict[str, Any]]:
        """Yield what the log has of the beginnings and ends of EXPRESS executions, which are nowhere else."""
        pages = (
            self.cloud.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=LOG, filterPattern='{ $.type = "Execution*" }')
        )
        for line in (json.loads(one["message"]) for page in pages for one in page["events"]):
            if ":express:" in line["execution_arn"] and line["type"].startswith("Execution"):
                yield line

    def executions(self, key: str, *, refresh: bool = True) -> list[dict[str, Any]]:
        """Return the executions of a photo that there were so far."""
        if refresh:
            self._refresh()
        return [one for one in self._ended.values() if _key(json.loads(one["input"])) == key]

    def ended(self, keys: Iterable[str]) -> bool:
        """Return whether all photos have executions, and all of these have ended."""
        self._refresh()
        found = [self.executions(key, refresh=False) for key in keys]
        return all(some and all(one["status"] != "RUNNING" for one in some) for some in found)

    def all_reviews(self) -> list[dict[str, Any]]:
        """Return the review messages that there were so far."""
        return self._reviews.messages()

    def run(self, *command: str) -> int:
        """Run a command of `operations` on this cloud; return its exit code."""
        with environment_of(self.cloud.running):
            return main(list(command))

    def redrive(self, *options: str) -> None:
        """Run `operations redrive`, with which operators mend what a fault has left."""
        self.run("redrive", "--rate", "100", "--older-than", "1s", "--json", *options)

    def report(self, fault: str, expected: Iterable[str], seen: Seen, hits: int = 0) -> None:
        """Add a line to the table."""
        wanted, found = (", ".join(some) or "no outcome" for some in (expected, seen.outcomes))
        self._lines.append(f"| {fault} | {wanted} | {found} | {len(seen.alarms)} | {hits} |\n")

    def write(self, path: Path) -> None:
        """Write the table, unless nothing was reported, as in a worker that has other tests."""
        if not self._lines:
            return
        head = "| fault | expected | seen | alarms | calls hit |\n|---|---|---|---|---|\n"
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + "".join(self._lines), encoding="utf-8")


def without_outcome(execution: Mapping[str, Any]) -> bool:
    """Return whether PhotosWithoutOutcomeAlarm counts an execution."""
    error = execution.get("error") or ""
    stopped = execution["status"] in {"ABORTED", "TIMED_OUT"}
    return stopped or error == "OutcomeNotDelivered" or error.startswith("States.")


def _key(start: Mapping[str, Any]) -> Any:
    detail = start.get("detail")
    return detail["object"]["key"] if detail else start.get("s3_key")


def processes(what: str, folder: Path) -> list[int]:
    """Return the processes of a local cloud whose command line has a text in it."""
    listed = subprocess.run(["ps", "-axww", "-o", "pid,command"], capture_output=True, text=True, check=True)
    lines = listed.stdout.splitlines()
    return [int(line.split()[0]) for line in lines if what in line and str(folder) in line]


def pids(what: str, observer: Observer) -> list[int]:
    """Return the processes of an observed local cloud whose command line has a text in it."""
    return processes(what, observer.cloud.folder)


def kill(what: str, observer: Observer, only: Callable[[list[int]], int] | None = None) -> bool:
    """Kill all processes of a part, or only the one that is chosen of them; return whether there were any."""
    found = pids(what, observer)
    for pid in [only(found)] if only and found else found:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(pid, signal.SIGKILL)
    return bool(found)
