"""What executions try and whether they have ended, by their histories; of EXPRESS, by its execution log.

AWS delivers the log some seconds later, at its best effort; with the level ERROR it has failures only.
https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from operations.stack import Stack

LONGEST: Final = timedelta(minutes=5)
"""AWS ends an EXPRESS execution then."""
EVERY: Final = '"*:express:*"'
_ABOUT_EXECUTIONS: Final = ') && ($.type = "Execution*"'
ENDS: Final = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
FAILURES: Final = ("TaskFailed", "TaskTimedOut", "LambdaFunctionFailed", "LambdaFunctionTimedOut")
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


def details_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the details of an event of a history or a log."""
    return next((value for name, value in event.items() if name.endswith("EventDetails")), {})


def is_express(execution_arn: str) -> bool:
    """Return whether an execution has a log only, and nothing that the API would tell."""
    return ":express:" in execution_arn


def log_events(
    stack: Stack, execution: str, since: datetime, until: datetime | None = None, pages: int = 1000
) -> Iterator[dict[str, Any]]:
    """Yield events as a history has them, with their execution's ARN, by a quoted ARN or a pattern."""
    request: dict[str, Any] = {"startTime": int(1000 * since.timestamp())}
    request |= {"endTime": int(1000 * until.timestamp())} if until else {}
    request |= {"logGroupName": f"/aws/vendedlogs/states/{stack.name}-classify-image"}
    request |= {"filterPattern": f"{{ ($.execution_arn = {execution}) }}"}
    for _ in range(pages):
        page = stack.client("logs").filter_log_events(**request)
        for line in page["events"]:
            event = json.loads(line["message"])
            yield {
                "id": int(event["id"]),
                "type": event["type"],
                "timestamp": datetime.fromtimestamp(int(event["event_timestamp"]) / 1000, UTC),
                "execution_arn": event["execution_arn"],
                "EventDetails": event.get("details", {}),
            }
        if not page.get("nextToken"):  # a page may be empty and have one
            return
        request["nextToken"] = page["nextToken"]


def has_ended(stack: Stack, execution_arn: str) -> bool:
    """Return whether an execution that began a moment ago has ended."""
    if not is_express(execution_arn):
        found = stack.client("stepfunctions").describe_execution(executionArn=execution_arn)
        return bool(found["status"] != "RUNNING")
    events = log_events(stack, f'"{execution_arn}"{_ABOUT_EXECUTIONS}', stack.now() - LONGEST)
    return any(event["type"] in ENDS for event in events)


def running(stack: Stack) -> int:
    """Return how many EXPRESS executions have begun and not ended."""
    found = list(log_events(stack, EVERY + _ABOUT_EXECUTIONS, stack.now() - LONGEST, pages=5))
    ended = {event["execution_arn"] for event in found if event["type"] in ENDS}
    return len({event["execution_arn"] for event in found} - ended)


@dataclass(frozen=True)
class Attempts:
    """What an execution is trying: how often its task failed, since when, and with which error at last."""

    step: str = ""  # state of the workflow; empty if nothing says which
    error: str = ""
    errors: int = 0
    since: datetime | None = None
    last: datetime | None = None
    again: datetime | None = None  # when it is tried again, at the latest; None while it is tried
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
    except client.exceptions.StateMachineTypeNotSupported:
        return None, []
    some = running[: HISTORIES // 2] + running[HISTORIES // 2 :][-(HISTORIES // 2) :]
    patience: dict[bool, timedelta] = {}  # to classify a photo (False), and to deliver its outcome (True)
    definition = client.describe_state_machine(stateMachineArn=machine)["definition"] if some else ""
    if found := re.search(r"1000 \* (\d+) .*?1000 \* \((\d+) \+ (\d+)\)", definition, re.DOTALL):
        classify, first, second = (timedelta(seconds=int(text)) for text in found.groups())
        patience = {False: classify, True: first + second}

    def look(execution: Mapping[str, Any]) -> Attempts | None:
        request = {"executionArn": execution["executionArn"], "maxResults": _MOST, "reverseOrder": True}
        events = client.get_execution_history(**request, includeExecutionData=False)["events"]
        found = attempts_in(reversed(events))
        limit = patience.get(found.step in DELIVERY) if found else None
        return replace(found, gives_up=execution["startDate"] + limit) if found and limit else found

    with ThreadPoolExecutor(max_workers=8) as pool:
        return len(running), [one for one in pool.map(look, some) if one]


def logged(stack: Stack) -> list[Attempts]:
    """Return what EXPRESS executions were trying when their tasks failed, in the last minute."""
    executions: dict[str, list[dict[str, Any]]] = {}
    for event in log_events(stack, EVERY, stack.now() - LONGEST, pages=_LOG_PAGES):
        executions.setdefault(event["execution_arn"], []).append(event)
    found = [attempts_in(sorted(events, key=lambda one: one["id"])) for events in executions.values()]
    recent = [one for one in found if one and one.last and stack.now() - one.last < _RECENT]
    return [replace(one, again=one.last + timedelta(minutes=1)) for one in recent if one.last]
