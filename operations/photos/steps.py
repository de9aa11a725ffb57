"""A photo's trace through the workflow: the states that its execution entered, how long, and the errors."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operations.executions import FAILURES, LONGEST, details_of, is_express, log_events
from operations.stack import Stack

_SHOWN: Final = ("TaskStateEntered", "FailStateEntered", "SucceedStateEntered")
_LATE: Final = timedelta(seconds=10)  # clocks differ, and what started the execution had a name for its time


@dataclass(frozen=True)
class Step:
    """A state of the workflow that did something or ended it; an error is the last one of its task."""

    name: str
    seconds: float = 0.0
    attempts: int = 0
    error: str = ""
    succeeded: bool = False


def steps_of(stack: Stack, execution_arn: str | None, started_at: str | None = None) -> list[Step]:
    """Read the steps of an execution from its history; of EXPRESS, from the log of when it ran."""
    if not execution_arn:
        return []
    try:
        if not is_express(execution_arn):
            return steps_in(_history(stack, execution_arn))
        since = datetime.fromisoformat(started_at) if started_at else stack.now() - LONGEST
        events = log_events(stack, f'"{execution_arn}"', since - _LATE, since + LONGEST + _LATE)
        return steps_in(sorted(events, key=lambda event: event["id"]))
    except (ClientError, BotoCoreError):  # the history adds to the outcome, its absence takes nothing away
        return []


def _history(stack: Stack, execution_arn: str) -> Iterator[Mapping[str, Any]]:
    client = stack.client("stepfunctions")
    request = {"executionArn": execution_arn}
    while True:
        page = client.get_execution_history(**request)
        yield from page["events"]
        if not page.get("nextToken"):
            return
        request["nextToken"] = page["nextToken"]


def steps_in(events: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Return the steps in the events of an execution's history, the oldest first."""
    steps: list[Step] = []
    entered: datetime | None = None
    for event in events:
        kind = event["type"]
        if kind in _SHOWN:
            entered = event["timestamp"]
            steps.append(Step(details_of(event)["name"]))
        elif kind == "TaskScheduled" and steps:
            steps[-1] = replace(steps[-1], attempts=steps[-1].attempts + 1)
        elif kind in FAILURES and steps:
            steps[-1] = replace(steps[-1], error=str(details_of(event).get("error", "States.Timeout")))
        elif kind == "TaskSucceeded" and steps:
            steps[-1] = replace(steps[-1], error="", succeeded=True)
        elif kind == "TaskStateExited" and steps and entered:
            steps[-1] = replace(steps[-1], seconds=(event["timestamp"] - entered).total_seconds())
    return steps
