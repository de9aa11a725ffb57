"""Executions: which events they have and log, and what EXPRESS does not keep."""

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.ministack.executions import MOST_BYTES, Log, Recorder, as_on_aws, logged, path, too_large
from localcloud.ministack.language import Models, is_date_time, with_sdk

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"


@pytest.mark.parametrize(
    ("kind", "levels"),
    [
        *(("ExecutionSucceeded", ["ALL"]), ("PassStateEntered", ["ALL"])),
        *(("TaskFailed", ["ALL", "ERROR"]), ("FailStateEntered", ["ALL", "ERROR"])),
        *(("ExecutionTimedOut", ["ALL", "ERROR", "FATAL"]), ("ExecutionFailed", ["ALL", "ERROR", "FATAL"])),
    ],
)
def test_a_level_says_what_is_logged(kind: str, levels: list[str]) -> None:
    assert [level for level in ("ALL", "ERROR", "FATAL", "OFF") if logged(kind, level)] == levels


@pytest.mark.parametrize(
    ("kind", "details", "names"),
    [
        ("TaskScheduled", {"resource": "arn:aws:states:::lambda:invoke"}, ["TaskScheduled", "TaskStarted"]),
        ("TaskScheduled", {"resource": FUNCTION}, ["LambdaFunctionScheduled", "LambdaFunctionStarted"]),
        ("TaskFailed", {"resource": FUNCTION, "error": "States.Timeout"}, ["LambdaFunctionTimedOut"]),
        ("TaskFailed", {"error": "States.QueryEvaluationError"}, ["EvaluationFailed"]),
        (
            "ExecutionFailed",
            {"error": "States.QueryEvaluationError"},
            ["EvaluationFailed", "ExecutionFailed"],
        ),
        ("ExecutionFailed", {"error": "", "cause": ""}, ["ExecutionFailed"]),
    ],
)
def test_events_have_awss_names(kind: str, details: dict[str, Any], names: list[str]) -> None:
    found = list(as_on_aws(kind, details))
    assert [name for name, _ in found] == names
    assert all(one for _, more in found for name, one in more.items() if name in {"error", "cause"})


def test_a_services_resource_is_its_name_and_action() -> None:
    ((_, details), _) = as_on_aws(
        "TaskScheduled", {"resource": "arn:aws:states:::aws-sdk:sfn:startExecution"}
    )
    assert (details["resourceType"], details["resource"]) == ("aws-sdk:sfn", "startExecution")


@pytest.mark.parametrize(
    ("text", "large"), [("a" * (MOST_BYTES - 2), False), ("a" * MOST_BYTES, True), ("é" * 100_000, False)]
)
def test_data_is_limited_by_its_bytes_of_utf_8(text: str, *, large: bool) -> None:
    assert too_large(json.dumps(text)) is large


def test_two_express_executions_may_have_one_name() -> None:
    express = {"name": "m", "type": "EXPRESS"}
    assert path(express, "x").startswith(":express:m:x:")
    assert path(express, "x") != path(express, "x")
    assert path({"name": "m", "type": "STANDARD"}, "x") == ":execution:m:x"


def test_a_log_keeps_its_latest_streams() -> None:
    streams: dict[str, list[str]] = {}
    times: list[int] = []

    def put(data: Any) -> None:
        event = data["logEvents"][0]
        streams[data["logStreamName"]].append(event["message"])
        times.append(event["timestamp"])

    logs = SimpleNamespace(
        _log_groups={"g": {"streams": streams}},
        _create_log_stream=lambda data: streams.update({data["logStreamName"]: []}),
        _delete_log_stream=lambda data: streams.pop(data["logStreamName"]),
        _put_log_events=put,
    )
    log = Log(logs)
    log.write("gone", "m", 1, "lost")
    for number in range(25_000):
        log.write("g", "m", number - number % 3, str(number))
    log.write("g", "m", 1, "late")
    assert len(streams) == 40
    lines = [line for lines in streams.values() for line in lines]
    assert lines == [*map(str, range(5_500, 25_000)), "late"]
    assert times == sorted(times), "ministack merges what is late into the whole stream"


def test_an_execution_ends_at_the_limit_of_its_machine() -> None:
    emitted = threading.Event()

    def add(execution: dict[str, Any], kind: str, _details: Any = None) -> dict[str, Any]:
        execution["events"].append({"type": kind, "id": len(execution["events"]) + 1})
        return dict(execution["events"][-1])

    engine = SimpleNamespace(
        _state_machines={"m": {"definition": json.dumps({"TimeoutSeconds": 0.01})}},
        _add_event=add,
        _emit_execution_status_event=lambda _: emitted.set(),
        now_iso=lambda: "now",
    )
    recorder = Recorder(engine, Log(SimpleNamespace()))

    def begun(arn: str) -> dict[str, Any]:
        events = [{"type": "ExecutionStarted", "id": 1}]
        execution = {"executionArn": arn, "stateMachineArn": "m", "status": "RUNNING", "events": events}
        recorder.add(execution, "PassStateEntered", {"stateEnteredEventDetails": {"name": "Pass"}})
        return execution

    ended, running = begun("ended"), begun("running")
    ended["status"] = "SUCCEEDED"
    recorder.add(ended, "ExecutionSucceeded")
    assert emitted.wait(10)
    assert (running["status"], running["events"][-1]["type"]) == ("TIMED_OUT", "ExecutionTimedOut")
    assert (ended["status"], ended["events"][-1]["type"]) == ("SUCCEEDED", "ExecutionSucceeded")


def test_an_execution_whose_end_fails_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ended, all_ended = list[str](), threading.Event()

    def emit(execution: dict[str, Any]) -> None:
        ended.append(execution["executionArn"])
        if len(ended) == 2:
            all_ended.set()
        raise OSError(execution["executionArn"])

    engine = SimpleNamespace(
        _state_machines={"m": {"definition": json.dumps({"TimeoutSeconds": 0.01})}},
        _add_event=lambda *_: {"type": "ExecutionTimedOut", "id": 2},
        _emit_execution_status_event=emit,
        now_iso=lambda: "now",
    )
    recorder = Recorder(engine, Log(SimpleNamespace()))
    for arn in ("first", "second"):
        events = [{"type": "ExecutionStarted", "id": 1}]
        execution = {"executionArn": arn, "stateMachineArn": "m", "status": "RUNNING", "events": events}
        recorder.add(execution, "PassStateExited", {"stateExitedEventDetails": {"name": "Pass"}})
    assert all_ended.wait(10)


def test_errors_have_the_names_of_the_sdk() -> None:
    from ministack.core.responses import _service_model  # noqa: PLC0415

    models = Models(_service_model, lambda *error: error)
    assert models.name("dynamodb", "putItem", "ResourceNotFoundException", "x") == "ResourceNotFoundException"
    assert (
        models.name("dynamodb", "putItem", "ValidationException", "AmazonDynamoDBException")[:6] == "Amazon"
    )
    assert "'item'" in models.missing("dynamodb", "putItem", {"TableName": "t", "Item": None})[1]
    assert models.missing("dynamodb", "putItem", {"TableName": "t", "Item": {}}) is None
    assert with_sdk("AmazonSQS", 400, "C", "m").startswith(
        "m (Service: AmazonSQS; Status Code: 400; Error Code: C;"
    )
    assert [is_date_time(text) for text in ("2016-12-05T21:29:29Z", "2016-12-05 21:29:29Z")] == [True, False]
