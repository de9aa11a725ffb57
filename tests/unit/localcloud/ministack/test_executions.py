"""Executions: which events they have and log, and what EXPRESS does not keep."""

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.ministack import executions
from localcloud.ministack.executions import MOST_BYTES, add, as_on_aws, logged, path, too_large, write_line
from localcloud.ministack.language import error_name, is_date_time, missing, with_sdk

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


def test_a_log_keeps_its_latest_streams(monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(executions, "logs", logs)
    write_line("gone", "m", 1, "lost")
    for number in range(25_000):
        write_line("g", "m", number - number % 3, str(number))
    write_line("g", "m", 1, "late")
    assert len(streams) == 40
    lines = [line for lines in streams.values() for line in lines]
    assert lines == [*map(str, range(5_500, 25_000)), "late"]
    assert times == sorted(times), "ministack merges what is late into the whole stream"


def test_an_execution_ends_at_the_limit_of_its_machine_whatever_an_end_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emitted, all_emitted = list[str](), threading.Event()

    def record(execution: dict[str, Any], kind: str, _details: Any = None) -> dict[str, Any]:
        execution["events"].append({"type": kind, "id": len(execution["events"]) + 1})
        return dict(execution["events"][-1])

    def emit(execution: dict[str, Any]) -> None:
        emitted.append(execution["executionArn"])
        if len(emitted) == 2:
            all_emitted.set()
        raise OSError(execution["executionArn"])

    engine = SimpleNamespace(
        _state_machines={"m": {"definition": json.dumps({"TimeoutSeconds": 0.01})}},
        _add_event=record,
        _emit_execution_status_event=emit,
        now_iso=lambda: "now",
    )
    monkeypatch.setattr(executions, "engine", engine)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def begun(arn: str) -> dict[str, Any]:
        events = [{"type": "ExecutionStarted", "id": 1}]
        execution = {"executionArn": arn, "stateMachineArn": "m", "status": "RUNNING", "events": events}
        add(record, execution, "PassStateEntered", {"stateEnteredEventDetails": {"name": "Pass"}})
        return execution

    ended, *running = begun("ended"), begun("first"), begun("second")
    ended["status"] = "SUCCEEDED"
    add(record, ended, "ExecutionSucceeded")
    executions.watch()
    assert all_emitted.wait(10)
    ends = [(one["status"], one["events"][-1]["type"]) for one in (ended, *running)]
    assert ends == [("SUCCEEDED", "ExecutionSucceeded"), *[("TIMED_OUT", "ExecutionTimedOut")] * 2]
    assert sorted(emitted) == ["first", "second"]


def test_errors_have_the_names_of_the_sdk() -> None:
    names = [
        error_name("dynamodb", "putItem", code, "AmazonDynamoDBException")
        for code in ("ResourceNotFoundException", "ValidationException")
    ]
    assert names == ["ResourceNotFoundException", "AmazonDynamoDBException"]
    assert b"'item'" in missing("dynamodb", "putItem", {"TableName": "t", "Item": None})[2]
    assert missing("dynamodb", "putItem", {"TableName": "t", "Item": {}}) is None
    assert with_sdk("AmazonSQS", 400, "C", "m").startswith(
        "m (Service: AmazonSQS; Status Code: 400; Error Code: C;"
    )
    assert [is_date_time(text) for text in ("2016-12-05T21:29:29Z", "2016-12-05 21:29:29Z")] == [True, False]
