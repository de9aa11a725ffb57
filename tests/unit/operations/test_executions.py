"""What executions try, from the events of a history and the lines of an execution log."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from operations.executions import HISTORIES, Attempts, attempts_in, in_progress, logged
from operations.stack import Stack

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(seconds: float, kind: str, **details: str) -> dict[str, Any]:
    name = "stateEnteredEventDetails" if kind.endswith("Entered") else "taskFailedEventDetails"
    return {"type": kind, "timestamp": at(seconds)} | ({name: details} if details else {})


ASKED = [event(0, "TaskStateEntered", name="SerializeImage"), event(1, "TaskSucceeded")]
ASKED += [event(1, "TaskStateEntered", name="ClassifyImage")]
FAILED = [
    event(2, "TaskFailed", error="EndpointUnavailable"),
    event(2, "WaitStateEntered", name="WaitToRetry"),
]
AGAIN = [event(4, "WaitStateExited"), event(4, "TaskStateEntered", name="ClassifyImage")]
RECORDED = "DynamoDB.ConditionalCheckFailedException"  # an outcome of higher rank
ONCE = Attempts("ClassifyImage", "EndpointUnavailable", 1, at(2), at(2))


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([], Attempts()),
        (ASKED, Attempts("ClassifyImage")),
        (ASKED + FAILED, replace(ONCE, again=at(4))),
        (ASKED + FAILED + AGAIN, ONCE),
        (ASKED + (FAILED + AGAIN) * 20 + FAILED, replace(ONCE, errors=21, again=at(62))),
        (ASKED + FAILED * 9 + [event(601, "WaitStateEntered")], replace(ONCE, errors=9, again=at(1201))),
        (ASKED + FAILED + AGAIN + [event(5, "TaskSucceeded")], Attempts("ClassifyImage")),
        ([*ASKED, event(2, "TaskTimedOut")], replace(ONCE, error="States.Timeout")),
        ([*ASKED, event(2, "TaskFailed", error="UnsupportedImage")], Attempts("ClassifyImage")),
        ([*ASKED, event(2, "TaskFailed", error=RECORDED)], Attempts("ClassifyImage")),
        (ASKED + FAILED + [event(9, "ExecutionFailed")], None),
    ],
)
def test_what_an_execution_tries(events: list[dict[str, Any]], found: Attempts | None) -> None:
    assert attempts_in(events) == found


def test_a_thousand_executions_are_seen_in_a_few_histories() -> None:
    asked: list[str] = []
    running = [{"executionArn": str(number), "startDate": START} for number in range(1000)]
    until = "$millis() + 1000 * 2400 … 1000 * (2400 + 60)"

    def history(executionArn: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - AWS's name
        asked.append(executionArn)
        return {"events": (ASKED + FAILED)[::-1]}

    client = SimpleNamespace(
        list_executions=lambda **_: {"executions": running},
        describe_state_machine=lambda **_: {"definition": until},
        get_execution_history=history,
    )
    stack: Any = Stack("scones", {"ClassifyImageStateMachineArn": "arn"}, None)  # type: ignore[arg-type]
    stack.clients["stepfunctions"] = client
    count, found = in_progress(stack)
    assert (count, set(found)) == (1000, {replace(ONCE, again=at(4), gives_up=at(2400))})
    assert len(asked) == HISTORIES
    assert {"0", "999"} <= set(asked)


def test_express_executions_are_read_from_their_log() -> None:
    def line(arn: str, number: int, seconds_ago: int, kind: str, **details: str) -> dict[str, str]:
        time = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        facts = {"id": str(number), "type": kind, "execution_arn": arn, "details": details}
        return {"message": json.dumps({**facts, "event_timestamp": str(int(time.timestamp() * 1000))})}

    down = {"resourceType": "events", "error": "EventBridge.FailedEntry"}
    events = [
        line("a:express:1", 9, 40, "TaskFailed", **down),
        line("a:express:2", 9, 40, "TaskFailed", **down),
        line("a:express:2", 12, 30, "ExecutionFailed", error="OutcomeNotDelivered"),
        line("a:express:3", 9, 200, "TaskFailed", **down),
        line("a:express:1", 14, 20, "TaskFailed", **down),
    ]
    pages = iter([{"events": events[:4], "nextToken": "more"}, {"events": events[4:]}])
    client = SimpleNamespace(filter_log_events=lambda **_: next(pages))
    stack: Any = Stack("scones", {}, None)  # type: ignore[arg-type]
    stack.clients["logs"] = client
    (found,) = logged(stack)
    assert (found.step, found.error, found.errors) == ("PublishOutcome", "EventBridge.FailedEntry", 2)
    assert found.last
    assert found.again == found.last + timedelta(minutes=1)
