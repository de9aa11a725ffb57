"""What the executions in progress are trying, by their histories; of EXPRESS, by its execution log."""

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from operations.execution_log import ENDS, EVERY, FAILURES, LONGEST, details_of, log_events
from operations.stack import Stack

HISTORIES: Final = 20
"""So many executions are looked at, the newest and the oldest among them."""
DELIVERY: Final = ("RecordOutcome", "PublishOutcome", "MarkDelivered")
_MOST: Final = 1000  # of each listing: AWS's limit
_LOG_PAGES: Final = 5
_RECENT: Final = timedelta(seconds=75)  # the workflow tries again within 60 s
_ANSWERS: Final = (
    *("ThresholdConfidenceNotMet", "Object(NotFound|TooLarge)", "UnsupportedImage", "ImageToo.+"),
    r"DynamoDB\.ConditionalCheckFailedException",  # a better outcome is recorded already
)
_STATES: Final = {"dynamodb": "RecordOutcome", "events": "PublishOutcome"}  # logs of level ERROR name none


@dataclass(frozen=True)
class Attempts:
    """What an execution is trying.

    Attributes:
        step: the state of the workflow; empty if nothing says which.
        errors: how often its task failed, `error` the last time.
        since: when it failed first; `last` is when it failed last.
        again: when it is tried again, at the latest; None while it is tried.
        gives_up: when it is not tried any more.
    """

    step: str = ""
    error: str = ""
    errors: int = 0
    since: datetime | None = None
    last: datetime | None = None
    again: datetime | None = None
    gives_up: datetime | None = None


def attempts_in(events: Iterable[Mapping[str, Any]]) -> Attempts | None:
    """Return what an execution is trying by its events, the oldest first; None if it has ended."""
    now, waits, started = Attempts(), 0, None
    for event in events:
        kind, time, details = event["type"], event["timestamp"], details_of(event)
        started = started or time
        if kind in ENDS:
            return None
        if kind == "TaskStateEntered" and details["name"] != now.step:
            now, waits = Attempts(details["name"]), 0
        elif kind in FAILURES:
            now = _failed(now, details, time)
        elif kind == "TaskSucceeded":
            now, waits = Attempts(now.step), 0
        elif kind == "WaitStateEntered":  # WaitToRetry of statemachine/classify_image.asl.json
            longest = 600 if time - started > timedelta(minutes=10) else 60
            now = replace(now, again=time + timedelta(seconds=min(longest, 2 * 2 ** min(waits, 9))))
            waits += 1
        elif kind == "WaitStateExited":
            now = replace(now, again=None)
    return now


def _failed(now: Attempts, details: Mapping[str, Any], time: datetime) -> Attempts:
    error = details.get("error") or "States.Timeout"
    if re.fullmatch("|".join(_ANSWERS), error):  # it says what the photo is: nothing is wrong
        return now
    step = now.step or _STATES.get(details.get("resourceType", ""), "")
    return replace(now, step=step, error=error, errors=now.errors + 1, since=now.since or time, last=time)


def in_progress(stack: Stack) -> tuple[int | None, list[Attempts]]:
    """Return how many executions are in progress (1,000 at most; None: EXPRESS), and what some are trying."""
    client, machine = stack.client("stepfunctions"), stack.output("ClassifyImageStateMachineArn")
    request = {"stateMachineArn": machine, "statusFilter": "RUNNING", "maxResults": _MOST}
    try:
        running = client.list_executions(**request)["executions"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "StateMachineTypeNotSupported":
            raise
        return None, []
    some = running[: HISTORIES // 2] + running[HISTORIES // 2 :][-(HISTORIES // 2) :]
    patience = _patience(client, machine) if some else {}

    def look(execution: Mapping[str, Any]) -> Attempts | None:
        request = {"executionArn": execution["executionArn"], "maxResults": _MOST, "reverseOrder": True}
        events = client.get_execution_history(**request, includeExecutionData=False)["events"]
        found = attempts_in(reversed(events))
        limit = patience.get(found.step in DELIVERY) if found else None
        return replace(found, gives_up=execution["startDate"] + limit) if found and limit else found

    with ThreadPoolExecutor(max_workers=8) as pool:
        return len(running), [one for one in pool.map(look, some) if one]


def _patience(client: Any, machine: str) -> dict[bool, timedelta]:
    """Return how long the workflow tries to classify a photo (False) and to deliver its outcome (True)."""
    definition = client.describe_state_machine(stateMachineArn=machine)["definition"]
    found = re.search(r"1000 \* (\d+) .*?1000 \* \((\d+) \+ (\d+)\)", definition, re.DOTALL)
    if not found:
        return {}
    classify, first, second = (timedelta(seconds=int(text)) for text in found.groups())
    return {False: classify, True: first + second}


def logged(stack: Stack) -> list[Attempts]:
    """Return what EXPRESS executions were trying when their tasks failed, in the last minute."""
    executions: dict[str, list[dict[str, Any]]] = {}
    for event in log_events(stack, EVERY, stack.now() - LONGEST, pages=_LOG_PAGES):
        executions.setdefault(event["execution_arn"], []).append(event)
    found = [attempts_in(sorted(events, key=lambda one: one["id"])) for events in executions.values()]
    recent = [one for one in found if one and one.last and stack.now() - one.last < _RECENT]
    return [replace(one, again=one.last + timedelta(minutes=1)) for one in recent if one.last]
