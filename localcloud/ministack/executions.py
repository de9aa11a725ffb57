"""Executions as on AWS: their events, the log of a state machine, and EXPRESS, which keeps no executions.

ministack never writes execution logs, lets everybody describe, stop and list EXPRESS executions, and knows no
limit of data. Its events have other names than AWS's and do not say which came before.
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

from localcloud.ministack.errors import rewrite, wrap

MOST_BYTES: Final = 262_144
"""Largest input or output of a state, in bytes of UTF-8."""
_LINES_A_STREAM: Final = 500
_EXPRESS_S: Final = 300
_WATCH_EVERY_S: Final = 0.1
_STREAMS: Final = 40  # of a log group; older ones are deleted
_DATA: Final = ("input", "output", "parameters")
_ENDS: Final = ("Failed", "TimedOut", "Aborted")

Event = Mapping[str, Any]
Details = dict[str, Any]
Call = Callable[[Mapping[str, Any]], Any]

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


def log_line(execution_arn: str, event: Event, milliseconds: int, *, with_data: bool) -> str:
    """Return an event as the log of a state machine has it."""
    found: Details = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
    details = {name: value for name, value in found.items() if with_data or name not in _DATA}
    line = {"id": str(event["id"]), "type": event["type"], "details": details, "redrive_count": "0"}
    before = {"previous_event_id": str(event["previousEventId"]), "execution_arn": execution_arn}
    return json.dumps({**line, **before, "event_timestamp": str(milliseconds)})


class Log:
    """Writes lines to log groups, and keeps their latest: the logs of a local cloud are in its memory.

    Args:
        logs: ministack's module of CloudWatch Logs.
    """

    def __init__(self, logs: Any) -> None:
        self._logs, self._lock = logs, threading.Lock()
        self._lines: dict[str, int] = defaultdict(int)
        self._latest: dict[str, int] = defaultdict(int)

    def write(self, group: str, machine: str, milliseconds: int, line: str) -> None:
        """Write a line; one to a group that is gone is lost, as on AWS."""
        groups = self._logs._log_groups
        if group not in groups:
            return
        with self._lock:
            mine = [name for name in groups[group]["streams"] if name.startswith("states/")]
            if not mine or self._lines[group] % _LINES_A_STREAM == 0:
                mine.append(f"states/{machine}/{milliseconds:015}/{uuid.uuid4().hex[:8]}")
                self._logs._create_log_stream({"logGroupName": group, "logStreamName": mine[-1]})
            for old in mine[:-_STREAMS]:
                self._logs._delete_log_stream({"logGroupName": group, "logStreamName": old})
            self._lines[group] += 1
            # In order: for an event that is late by a millisecond, ministack sorts the stream anew.
            self._latest[group] = max(milliseconds, self._latest[group])
            events = [{"timestamp": self._latest[group], "message": line}]
            request = {"logGroupName": group, "logStreamName": mine[-1], "logEvents": events}
            self._logs._put_log_events(request)


class Recorder:
    """Adds events to executions, in place of ministack's own function.

    Args:
        engine: ministack's module of Step Functions.
        log: where they are logged.
    """

    def __init__(self, engine: Any, log: Log) -> None:
        self._engine, self._log = engine, log
        self._add = engine._add_event
        self._deadlines: dict[str, tuple[float, Callable[[], None]]] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def add(self, execution: dict[str, Any], kind: str, details: Mapping[str, Details] | None = None) -> Any:
        """Add ministack's event as AWS has it, or raise States.DataLimitExceeded if it has too much."""
        last: Any = None
        if execution["status"] != "RUNNING" and not kind.startswith("Execution"):
            return last  # what it was doing when it was stopped
        if len(execution["events"]) == 1:  # ministack wrote that the execution started
            self.record(execution, execution["events"][0])
            self._limit(execution)
        elif kind.startswith("Execution"):
            self._deadlines.pop(execution["executionArn"], None)
        given = next(iter((details or {}).values()), {})
        for name, more in as_on_aws(
            kind, given, execution["events"][-1]["type"] if execution["events"] else ""
        ):
            if name.endswith(("Succeeded", "Exited")) and too_large(more.get("output") or ""):
                who = more.get("resourceType") or more.get("resource") or more.get("name")
                raise self._engine._ExecutionError(
                    "States.DataLimitExceeded",
                    f"The state/task '{who}' returned a result with a size exceeding the maximum number of "
                    "bytes service limit.",
                )
            whose = f"state{name[-7:]}" if "State" in name else f"{name[0].lower()}{name[1:]}"
            last = self._add(execution, name, {f"{whose}EventDetails": more} if more else None)
            if name.endswith("StateEntered"):
                ENTERED.set((more["name"], last["id"], self._machine(execution).get("definition", "{}")))
            self.record(execution, last)
        return last

    def record(self, execution: Mapping[str, Any], event: dict[str, Any]) -> None:
        """Write an event to the log of its state machine, as its logging configuration says."""
        event["previousEventId"] = event["id"] - 1 if event["id"] > 2 else 0  # noqa: PLR2004 - as on AWS
        machine = self._machine(execution)
        settings = machine.get("loggingConfiguration", {})
        if not logged(event["type"], settings.get("level", "OFF")):
            return
        when = self._engine._iso_to_epoch_ms(event["timestamp"])
        with_data = bool(settings.get("includeExecutionData"))
        group = settings["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"].split(":log-group:")[1]
        line = log_line(execution["executionArn"], event, when, with_data=with_data)
        self._log.write(group.removesuffix(":*"), machine["name"], when, line)

    def _limit(self, execution: dict[str, Any]) -> None:
        """End an execution at the limit of its machine; AWS gives EXPRESS five minutes."""
        seconds = parsed_definition(self._machine(execution)["definition"]).get("TimeoutSeconds")
        if is_express(execution["executionArn"]):
            seconds = min(seconds or _EXPRESS_S, _EXPRESS_S)
        if seconds:
            run = copy_context().run  # the account
            end = functools.partial(run, self._time_out, execution)
            self._deadlines[execution["executionArn"]] = time.monotonic() + seconds, end

    def _watch(self) -> None:
        """End executions at their deadlines, each on a thread that only those need which get there.

        A target of the event may be slow, and whatever an end raises is its own.
        """
        while True:
            time.sleep(_WATCH_EVERY_S)
            for arn, (deadline, end) in list(self._deadlines.items()):
                if time.monotonic() >= deadline:
                    self._deadlines.pop(arn, None)
                    threading.Thread(target=end, daemon=True).start()

    def _time_out(self, execution: dict[str, Any]) -> None:
        if execution["status"] == "RUNNING":
            execution |= {"status": "TIMED_OUT", "stopDate": self._engine.now_iso()}
            self.add(execution, "ExecutionTimedOut")
            self._engine._emit_execution_status_event(execution)

    def _machine(self, execution: Mapping[str, Any]) -> dict[str, Any]:
        # A child of a Distributed Map has the machine of its parent.
        arn = execution["stateMachineArn"].partition("/")[0]
        machine: dict[str, Any] = self._engine._state_machines.get(arn, {})
        return machine


def path(machine: Mapping[str, Any], name: str) -> str:
    """Return the part of an execution's ARN behind the account."""
    if machine["type"] == "EXPRESS":
        return f":express:{machine['name']}:{name}:{uuid.uuid4()}"
    return f":execution:{machine['name']}:{name}"


def is_express(execution_arn: object) -> bool:
    """Return whether an execution is one of an EXPRESS state machine."""
    return ":express:" in str(execution_arn)


def refusing_express(engine: Any, answer: Call) -> Call:
    """Return a call of the API that refuses EXPRESS executions and state machines."""

    def answer_or_refuse(data: Mapping[str, Any]) -> Any:
        machine = engine._state_machines.get(data.get("stateMachineArn"), {})
        if is_express(data.get("executionArn")):
            text = "Invalid Arn: 'Resource type not valid in this context: express'"
            return engine.error_response_json("InvalidArn", text, 400)
        if machine.get("type") == "EXPRESS":
            text = "This operation is not supported by this type of state machine"
            return engine.error_response_json("StateMachineTypeNotSupported", text, 400)
        return answer(data)

    return answer_or_refuse


def billed(engine: Any, start: Call) -> Call:
    """Return StartSyncExecution with what is billed, and without an output if the execution failed."""

    def start_and_bill(data: Mapping[str, Any]) -> Any:
        status, headers, body = start(data)
        answer = json.loads(body)
        if is_express(answer.get("executionArn")):
            begin, end = (engine._iso_to_epoch_ms(answer[f"{when}Date"]) for when in ("start", "stop"))
            duration = {"billedDurationInMilliseconds": (begin - end) // 100 * -100}
            answer["billingDetails"] = {"billedMemoryUsedInMB": 64, **duration}
        if answer.get("status") not in {None, "SUCCEEDED"}:
            del answer["output"]
        return status, headers, json.dumps(answer).encode()

    return start_and_bill


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import cloudwatch_logs
    from ministack.services import stepfunctions as engine

    def unless_express(emit: Call) -> Call:
        return lambda execution: None if is_express(execution["executionArn"]) else emit(execution)

    recorder = Recorder(engine, Log(cloudwatch_logs))
    arn = {"f\":execution:{sm['name']}:{name}\")": "+ _execution_path(sm, name))"}
    rewrite(engine, {"_start_execution": arn, "_start_sync_execution": arn}, _execution_path=path)
    wrap(engine, "_add_event", ("execution", "event_type", "details"), lambda _: recorder.add)
    wrap(engine, "_emit_execution_status_event", ("execution",), unless_express)
    wrap(engine, "_start_sync_execution", ("data",), functools.partial(billed, engine))
    for call in ("describe_execution", "stop_execution", "get_execution_history", "list_executions"):
        wrap(engine, f"_{call}", ("data",), functools.partial(refusing_express, engine))
