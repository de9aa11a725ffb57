"""Executions as on AWS: their events, the log of a state machine, and EXPRESS, which keeps no executions.

https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""

import functools
import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from typing import Any, Final

from ministack.services import cloudwatch_logs as logs
from ministack.services import stepfunctions as engine

from localcloud.ministack.repairs import Repairs

REPAIRS: Final = Repairs()
MOST_BYTES: Final = 262_144
"""Largest input or output of a state, in bytes of UTF-8."""
_LINES_A_STREAM: Final = 500
_EXPRESS_S: Final = 300
_WATCH_EVERY_S: Final = 0.1
_STREAMS: Final = 40  # of a log group; older ones are deleted
_DATA: Final = ("input", "output", "parameters")
_ENDS: Final = ("Failed", "TimedOut", "Aborted")

Details = dict[str, Any]
Call = Callable[..., Any]

ENTERED: Final[ContextVar[tuple[str, int, str] | None]] = ContextVar("entered", default=None)
"""Name of the state that is running, the number of the event that says so, and the machine's definition."""


def logged(kind: str, level: str) -> bool:
    """Return whether a state machine whose log has a level logs the events of a kind."""
    failure = kind.endswith(_ENDS)
    return {
        "ALL": True,
        "ERROR": failure or kind == "FailStateEntered",
        "FATAL": failure and kind.startswith("Execution"),
    }.get(level, False)


def as_on_aws(kind: str, details: Details, before: str = "") -> Iterator[tuple[str, Details]]:
    """Yield the names and details of the events that AWS has for one of ministack's, after one of a name."""
    resource = str(details.get("resource", ""))
    if kind.startswith("Task") and ":function:" in resource:
        kind = kind.replace("Task", "LambdaFunction")
        details = {name: value for name, value in details.items() if name != "resourceType"}
    elif ":::" in resource:
        service, action = resource.split(":::")[1].split(":", 1)
        if service == "aws-sdk":
            service, action = f"{service}:{action.split(':')[0]}", action.split(":", 1)[1]
        details = {**details, "resourceType": service, "resource": action}
    error = details.get("error")
    if error == "States.QueryEvaluationError" and before != "EvaluationFailed":
        yield "EvaluationFailed", details
        if kind != "ExecutionFailed":
            return
    if kind.endswith("FunctionFailed") or kind == "TaskFailed":
        kind = kind.replace("Failed", "TimedOut") if error == "States.Timeout" else kind
    yield kind, {name: one for name, one in details.items() if one or name not in {"error", "cause"}}
    if kind.endswith("Scheduled"):
        yield kind.replace("Scheduled", "Started"), details


def too_large(text: str) -> bool:
    """Return whether JSON, which ministack writes in ASCII, is more than a state may return."""
    return (
        len(text) > MOST_BYTES and len(json.dumps(json.loads(text), ensure_ascii=False).encode()) > MOST_BYTES
    )


@functools.lru_cache
def parsed_definition(definition: str) -> dict[str, Any]:
    """Return the definition of a state machine; its executions share it, and none changes it."""
    found: dict[str, Any] = json.loads(definition)
    return found


# --- The log of a state machine: the logs of a local cloud are in its memory --------------------------------

_lock: Final = threading.Lock()
_lines: dict[str, int] = defaultdict(int)  # that were written, by log group
_latest: dict[str, int] = defaultdict(int)  # when the last one was written, in milliseconds


def write_line(group: str, machine: str, milliseconds: int, line: str) -> None:
    """Write a line, and keep the latest streams; one to a group that is gone is lost, as on AWS."""
    if group not in logs._log_groups:
        return
    with _lock:
        mine = [name for name in logs._log_groups[group]["streams"] if name.startswith("states/")]
        if not mine or _lines[group] % _LINES_A_STREAM == 0:
            mine.append(f"states/{machine}/{milliseconds:015}/{uuid.uuid4().hex[:8]}")
            logs._create_log_stream({"logGroupName": group, "logStreamName": mine[-1]})
        for old in mine[:-_STREAMS]:
            logs._delete_log_stream({"logGroupName": group, "logStreamName": old})
        _lines[group] += 1
        # In order: for an event that is late by a millisecond, ministack sorts the stream anew.
        _latest[group] = max(milliseconds, _latest[group])
        events = [{"timestamp": _latest[group], "message": line}]
        logs._put_log_events({"logGroupName": group, "logStreamName": mine[-1], "logEvents": events})


def _machine(execution: Mapping[str, Any]) -> dict[str, Any]:
    # A child of a Distributed Map has the machine of its parent.
    machine: dict[str, Any] = engine._state_machines.get(execution["stateMachineArn"].partition("/")[0], {})
    return machine


def _record(execution: Mapping[str, Any], event: dict[str, Any]) -> None:
    """Write an event to the log of its state machine, as its logging configuration says."""
    event["previousEventId"] = event["id"] - 1 if event["id"] > 2 else 0  # noqa: PLR2004 - as on AWS
    machine = _machine(execution)
    settings = machine.get("loggingConfiguration", {})
    if not logged(event["type"], settings.get("level", "OFF")):
        return
    when = engine._iso_to_epoch_ms(event["timestamp"])
    found: Details = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
    with_data = settings.get("includeExecutionData")
    line = {
        "id": str(event["id"]),
        "type": event["type"],
        "details": {name: value for name, value in found.items() if with_data or name not in _DATA},
        "redrive_count": "0",
        "previous_event_id": str(event["previousEventId"]),
        "execution_arn": execution["executionArn"],
        "event_timestamp": str(when),
    }
    group = settings["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"].split(":log-group:")[1]
    write_line(group.removesuffix(":*"), machine["name"], when, json.dumps(line))


# --- Events of an execution, and its end --------------------------------------------------------------------


@REPAIRS.around(engine, "_add_event", "execution", "event_type", "details")
def add(
    original: Call, execution: dict[str, Any], kind: str, details: Mapping[str, Details] | None = None
) -> Any:
    """Add ministack's event as AWS has it, or raise States.DataLimitExceeded if it has too much."""
    last: Any = None
    if execution["status"] != "RUNNING" and not kind.startswith("Execution"):
        return last  # what it was doing when it was stopped
    if len(execution["events"]) == 1:  # ministack wrote that the execution started
        _record(execution, execution["events"][0])
        _limit(execution)
    elif kind.startswith("Execution"):
        _deadlines.pop(execution["executionArn"], None)
    given = next(iter((details or {}).values()), {})
    before = execution["events"][-1]["type"] if execution["events"] else ""
    for name, more in as_on_aws(kind, given, before):
        if name.endswith(("Succeeded", "Exited")) and too_large(more.get("output") or ""):
            who = more.get("resourceType") or more.get("resource") or more.get("name")
            raise engine._ExecutionError(
                "States.DataLimitExceeded",
                f"The state/task '{who}' returned a result with a size exceeding the maximum number of "
                "bytes service limit.",
            )
        whose = f"state{name[-7:]}" if "State" in name else f"{name[0].lower()}{name[1:]}"
        last = original(execution, name, {f"{whose}EventDetails": more} if more else None)
        if name.endswith("StateEntered"):
            ENTERED.set((more["name"], last["id"], _machine(execution).get("definition", "{}")))
        _record(execution, last)
    return last


_deadlines: dict[str, tuple[float, Callable[[], None]]] = {}


def _limit(execution: dict[str, Any]) -> None:
    """End an execution at the limit of its machine; AWS gives EXPRESS five minutes."""
    seconds = parsed_definition(_machine(execution)["definition"]).get("TimeoutSeconds")
    if is_express(execution["executionArn"]):
        seconds = min(seconds or _EXPRESS_S, _EXPRESS_S)
    if seconds:
        run = copy_context().run  # the account
        end = functools.partial(run, _time_out, execution)
        _deadlines[execution["executionArn"]] = time.monotonic() + seconds, end


@REPAIRS.step
def watch() -> None:
    """End executions at their deadlines, each on a thread that only those need which get there.

    A target of the event may be slow, and whatever an end raises is its own.
    """

    def run() -> None:
        while True:
            time.sleep(_WATCH_EVERY_S)
            for arn, (deadline, end) in list(_deadlines.items()):
                if time.monotonic() >= deadline:
                    _deadlines.pop(arn, None)
                    threading.Thread(target=end, daemon=True).start()

    threading.Thread(target=run, daemon=True).start()


def _time_out(execution: dict[str, Any]) -> None:
    if execution["status"] == "RUNNING":
        execution |= {"status": "TIMED_OUT", "stopDate": engine.now_iso()}
        engine._add_event(execution, "ExecutionTimedOut")
        engine._emit_execution_status_event(execution)


# --- EXPRESS ------------------------------------------------------------------------------------------------


def path(machine: Mapping[str, Any], name: str) -> str:
    """Return the part of an execution's ARN behind the account."""
    if machine["type"] == "EXPRESS":
        return f":express:{machine['name']}:{name}:{uuid.uuid4()}"
    return f":execution:{machine['name']}:{name}"


_ARN: Final = {"f\":execution:{sm['name']}:{name}\")": "+ _path(sm, name))"}
_CHANGES: Final = {
    "_start_execution": _ARN,
    "_start_sync_execution": _ARN,
    "_emit_execution_status_event": {
        'if execution.get("sync")': 'if execution.get("sync") or ":express:" in execution["executionArn"]'
    },
}
REPAIRS.rewrite(engine, _CHANGES, path)


def is_express(execution_arn: object) -> bool:
    """Return whether an execution is one of an EXPRESS state machine."""
    return ":express:" in str(execution_arn)


@REPAIRS.around(engine, "_describe_execution", "data")
@REPAIRS.around(engine, "_stop_execution", "data")
@REPAIRS.around(engine, "_get_execution_history", "data")
@REPAIRS.around(engine, "_list_executions", "data")
def _answer_unless_express(answer: Call, data: Mapping[str, Any]) -> Any:
    machine = engine._state_machines.get(data.get("stateMachineArn"), {})
    if is_express(data.get("executionArn")):
        text = "Invalid Arn: 'Resource type not valid in this context: express'"
        return engine.error_response_json("InvalidArn", text, 400)
    if machine.get("type") == "EXPRESS":
        text = "This operation is not supported by this type of state machine"
        return engine.error_response_json("StateMachineTypeNotSupported", text, 400)
    return answer(data)


@REPAIRS.around(engine, "_start_sync_execution", "data")
def _start_and_bill(start: Call, data: Mapping[str, Any]) -> Any:
    """Answer with what is billed, and without an output if the execution failed."""
    status, headers, body = start(data)
    answer = json.loads(body)
    if is_express(answer.get("executionArn")):
        begin, end = (engine._iso_to_epoch_ms(answer[f"{when}Date"]) for when in ("start", "stop"))
        duration = {"billedDurationInMilliseconds": (begin - end) // 100 * -100}
        answer["billingDetails"] = {"billedMemoryUsedInMB": 64, **duration}
    if answer.get("status") not in {None, "SUCCEEDED"}:
        del answer["output"]
    return status, headers, json.dumps(answer).encode()
