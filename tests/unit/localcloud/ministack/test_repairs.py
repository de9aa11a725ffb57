"""The repairs of ministack, on their own: they fit the installed version and do what they say."""

import io
import json
import sys
from typing import Any

import pytest

from localcloud.ministack.cloudformation import with_metric_math
from localcloud.ministack.errors import IncompatibleMinistackError
from localcloud.ministack.lambda_ import NOT_STARTED, RAISED, as_lambda_error, error_line, repair_script
from localcloud.ministack.s3 import with_version

HANDLER = """
class ObjectNotFound(Exception):
    pass

def lambda_handler(event, context):
    if event == "fail":
        raise ObjectNotFound("no such photo")
    return {"saw": event}
"""


@pytest.fixture
def repaired() -> str:
    from ministack.core import lambda_runtime  # noqa: PLC0415

    return repair_script(lambda_runtime._PYTHON_WORKER_SCRIPT)  # noqa: SLF001


def talk_to_worker(
    script: str, events: list[Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """Run the worker's script in this process on some events; returns its replies without the first."""
    (tmp_path / "handler_of_this_test.py").write_text(HANDLER)
    init = {"code_dir": str(tmp_path), "module": "handler_of_this_test", "handler": "lambda_handler"}
    lines = [json.dumps(line) + "\n" for line in [init, *({"event": event} for event in events)]]
    replies = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(lines)))
    monkeypatch.setattr(sys, "stdout", replies)
    monkeypatch.setattr(sys, "path", list(sys.path))
    exec(compile(script, "worker", "exec"), {"__name__": "worker"})  # noqa: S102  # ministack's own script
    return [json.loads(line) for line in replies.getvalue().splitlines()][1:]


def test_the_installed_workers_errors_have_their_class_name(
    repaired: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, worked = talk_to_worker(repaired, ["fail", "go"], tmp_path, monkeypatch)

    error = as_lambda_error({"body": failed["result"], "log": "a line\n"})

    assert error["error"] is True
    assert error["body"]["errorType"] == "ObjectNotFound"
    assert error["body"]["errorMessage"] == "no such photo"
    assert "no such photo" in error["log"]
    assert failed["status"] == "ok", "anything else makes ministack end the worker"
    assert as_lambda_error({"body": worked["result"]}) == {"body": {"saw": "go"}}


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Worker process died", "Runtime.ExitError"),
        ("[Errno 32] Broken pipe", "Runtime.ExitError"),
        ("'NoneType' object has no attribute 'stdout'", "Runtime.ExitError"),
        (f"{NOT_STARTED}Worker process exited immediately. stderr: ", "Lambda.ServiceException"),
        (f"{NOT_STARTED}[Errno 2] No such file or directory: 'code'", "Lambda.ServiceException"),
    ],
)
def test_a_worker_that_dies_is_what_aws_calls_it(message: str, name: str) -> None:
    died = {"body": {"errorMessage": message, "errorType": "Runtime.HandlerError"}, "error": True, "log": ""}
    assert as_lambda_error(died)["body"]["errorType"] == name
    timed_out = {"body": {"errorMessage": "Task timed out", "errorType": "Sandbox.Timedout"}, "error": True}
    assert as_lambda_error(timed_out) == timed_out


@pytest.mark.parametrize("script", ["", "something else altogether"])
def test_a_worker_of_another_kind_is_refused(script: str) -> None:
    with pytest.raises(IncompatibleMinistackError, match=r"requirements/run\.txt"):
        repair_script(script)


def test_a_repair_is_not_applied_twice(repaired: str) -> None:
    with pytest.raises(IncompatibleMinistackError):
        repair_script(repaired)


@pytest.mark.parametrize("body", [None, "text", [1], {"errorMessage": "mine"}])
def test_other_results_pass_unchanged(body: Any) -> None:
    assert as_lambda_error({"body": body, "log": ""}) == {"body": body, "log": ""}
    assert RAISED not in str(body)


def test_an_event_of_s3_gets_the_objects_version() -> None:
    event = {"Source": "aws.s3", "Detail": json.dumps({"object": {"key": "a b", "etag": "e"}})}

    detail = json.loads(with_version(event, "v1")["Detail"])

    assert detail == {"object": {"key": "a b", "etag": "e", "version-id": "v1"}}
    assert "version-id" not in event["Detail"]


def test_an_alarm_on_metric_math_keeps_its_queries() -> None:
    from ministack.services.cloudformation import (  # noqa: PLC0415
        provisioners,
    )

    alarm = {
        "Metrics": [{"Id": "share", "Expression": "a / b"}],
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 50,
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:alerts"],
    }
    with pytest.raises(ValueError, match="metric math"):  # else the repair is no longer needed
        provisioners._cw_metric_alarm_record("share", alarm)  # noqa: SLF001
    record = with_metric_math(provisioners._cw_metric_alarm_record)("share", alarm)  # noqa: SLF001
    assert (record["Threshold"], record["Metrics"]) == (50, alarm["Metrics"])


@pytest.mark.parametrize(
    ("trace", "shown"), [(["errors.Doubtful: 0.5"], False), (["app.Bug: a"], True), (["TypeError: b"], True)]
)
def test_an_error_that_the_function_names_is_logged_without_a_trace(trace: list[str], *, shown: bool) -> None:
    name = trace[-1].split(":")[0].rpartition(".")[2]
    line = json.loads(error_line({"errorMessage": "0.5", "errorType": name, "stackTrace": trace}))
    assert (line["log_level"], line["errorType"]) == ("ERROR", name)
    assert ("stackTrace" in line) is shown
