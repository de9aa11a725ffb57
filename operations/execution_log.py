"""Events of executions, and the execution log of the workflows: all that there is of EXPRESS executions.

AWS delivers it some seconds later, at its best effort; with the level ERROR it has failures only.
https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from operations.stack import Stack

LONGEST: Final = timedelta(minutes=5)
"""AWS ends an EXPRESS execution then."""
EVERY: Final = '"*:express:*"'
_ABOUT_EXECUTIONS: Final = ') && ($.type = "Execution*"'
ENDS: Final = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
FAILURES: Final = ("TaskFailed", "TaskTimedOut", "LambdaFunctionFailed", "LambdaFunctionTimedOut")


def details_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the details of an event of a history or a log."""
    return next((value for name, value in event.items() if name.endswith("EventDetails")), {})


def is_express(execution_arn: str) -> bool:
    """Return whether an execution has a log only, and nothing that the API would tell."""
    return ":express:" in execution_arn


def log_events(
    stack: Stack, execution: str, since: datetime, until: datetime | None = None, pages: int = 1000
) -> Iterator[dict[str, Any]]:
    """Yield events as a history has them, and their execution's ARN, in the order of their times.

    Args:
        stack: whose workflows.
        execution: ARN in quotes, or a pattern of ARNs with `*`; more conditions may follow it.
        since: when the first event was.
        until: when the last one was.
        pages: so many are read at most.
    """
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
    """Return whether an EXPRESS execution that began a moment ago has ended."""
    found = log_events(stack, f'"{execution_arn}"{_ABOUT_EXECUTIONS}', stack.now() - LONGEST)
    return any(event["type"] in ENDS for event in found)


def running(stack: Stack) -> int:
    """Return how many EXPRESS executions have begun and not ended."""
    found = list(log_events(stack, EVERY + _ABOUT_EXECUTIONS, stack.now() - LONGEST, pages=5))
    ended = {event["execution_arn"] for event in found if event["type"] in ENDS}
    return len({event["execution_arn"] for event in found} - ended)
