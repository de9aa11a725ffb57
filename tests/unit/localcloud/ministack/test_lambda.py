"""Lambda's workers are bounded and fail alone; errors, throttling and logs are as AWS has them."""

import io
import json
import tempfile
import threading
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ministack.core import lambda_runtime as runtime
from ministack.services import cloudwatch_logs, lambda_svc

from localcloud.ministack import lambda_
from localcloud.ministack.lambda_ import (
    LOGS,
    NOT_STARTED,
    WORKERS_A_FUNCTION,
    as_lambda_error,
    error_line,
    execute,
    repair_script,
)
from localcloud.ministack.repairs import IncompatibleMinistackError

CODE = """
import logging
import os
import sys

class ObjectNotFound(Exception):
    pass

def handler(event, context):
    if event == "fail":
        raise ObjectNotFound("no such photo")
    if event == "json":
        logging.getLogger("app").error("photo %s", "seen", extra={"key": "a"})
        return event
    sys.stderr.write(event)
    return event if event else os._exit(1)
"""
CONFIG = {
    "FunctionName": "echo",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:echo",
    "Handler": "app.handler",
    "Timeout": 60,
}


def test_invocations_beyond_the_limit_wait_for_a_worker() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def run(_func: Any, event: Any, _request_id: str) -> dict[str, Any]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return {"body": event}

    function = {"config": {"FunctionName": "serialize"}}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: execute(run, function, number, "")["body"], range(20)))
    assert answers == list(range(20))
    assert most == WORKERS_A_FUNCTION


def test_one_functions_queue_does_not_hold_up_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_, "_slots", defaultdict(lambda: threading.Semaphore(1)))

    def serialize(_func: Any, event: Any, request_id: str) -> dict[str, Any]:
        return execute(lambda *_: {"body": "classified"}, {"FunctionName": "classify"}, event, request_id)

    assert execute(serialize, {"FunctionName": "serialize"}, {}, "") == {"body": "classified"}


class Pool:
    """Workers of the repaired ministack; their folders are in the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("app.py", CODE)
        self.function = {"config": CONFIG, "code_zip": code.getvalue()}

    def acquire(self) -> Any:
        """Lease a worker, a new one if all are leased."""
        return runtime.acquire_worker("echo", CONFIG, self.function["code_zip"])[0]

    def folders(self) -> int:
        """Return how many workers have a folder."""
        return len(list(self.folder.iterdir()))


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repair: Callable[..., None]) -> Iterator[Pool]:
    monkeypatch.setattr(runtime.Worker, "_drain_stderr_bounded", lambda self: f"of {self.func_name}")
    repair(lambda_.REPAIRS, runtime, runtime.Worker, lambda_svc)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield Pool(tmp_path)
    runtime.reset()
    assert not list(tmp_path.iterdir())


def test_a_worker_that_fails_to_start_goes_alone_and_with_its_folder(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting, failing = pool.acquire(), pool.acquire()
    assert lasting.invoke("event", "request")["result"] == "event"
    with monkeypatch.context() as broken:
        broken.setattr(runtime.subprocess, "Popen", lambda *_, **__: 1 // 0)
        failed = failing.invoke("event", "request")
    assert failed == {"status": "error", "error": f"{NOT_STARTED}integer division or modulo by zero"}
    assert (lasting._proc.poll(), pool.folders()) == (None, 1)  # noqa: SLF001
    assert failing.invoke("event", "request")["result"] == "event", "it starts for the next invocation"


def test_a_killed_worker_goes_alone_and_with_its_folder(pool: Pool) -> None:
    lasting, killed = pool.acquire(), pool.acquire()
    for worker in (lasting, killed):
        worker.invoke("event", "request")
    assert killed.invoke("", "request")["error"] == "Worker process died"
    assert (lasting._proc.poll(), pool.folders()) == (None, 1)  # noqa: SLF001


def test_a_worker_whose_code_was_replaced_meanwhile_is_ended(pool: Pool) -> None:
    worker, kept = pool.acquire(), pool.acquire()
    kept.invoke("event", "request")
    lambda_svc.release_worker(kept)
    assert pool.folders() == 1, "it waits for the next invocation"
    runtime.invalidate_worker("echo")
    worker.invoke("event", "request")
    lambda_svc.release_worker(worker)
    assert (worker._proc, pool.folders()) == (None, 0)  # noqa: SLF001


def test_the_log_of_an_invocation_is_read_to_its_end_and_not_longer(pool: Pool) -> None:
    worker = pool.acquire()
    for number, log in enumerate(["one", "two\n", "three\n\nfour", ".", "last\n" * 1000]):
        assert worker.invoke(log, f"request {number}")["log"] == log.removesuffix("\n")
    assert worker.invoke("", "its last")["log"] == "of echo", "a dead one writes no end"


def test_a_function_logs_json_with_what_it_adds(pool: Pool) -> None:
    line = json.loads(pool.acquire().invoke("json", "request")["log"])
    assert {line.pop("timestamp")[-1]} == {"Z"}
    assert line == {"level": "ERROR", "message": "photo seen", "logger": "app", "key": "a"}


def test_an_error_has_its_class_name_and_does_not_end_the_worker(pool: Pool) -> None:
    def run(event: str) -> dict[str, Any]:
        answer: dict[str, Any] = lambda_svc._execute_function_warm(pool.function, event, "request")  # noqa: SLF001
        return answer

    failed = run("fail")
    assert failed["error"] is True
    assert (failed["body"]["errorType"], failed["body"]["errorMessage"]) == (
        "ObjectNotFound",
        "no such photo",
    )
    assert "no such photo" in failed["log"]
    assert pool.folders() == 1
    assert (run("go")["body"], pool.folders()) == ("go", 1)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Worker process died", "Runtime.ExitError"),
        ("[Errno 32] Broken pipe", "Runtime.ExitError"),
        ("'NoneType' object has no attribute 'stdout'", "Runtime.ExitError"),
        (f"{NOT_STARTED}Worker process exited immediately. stderr: ", "Lambda.ServiceException"),
        (f"{NOT_STARTED}[Errno 2] No such file or directory: 'code'", "Lambda.ServiceException"),
        ("Task timed out", "Runtime.HandlerError"),
    ],
)
def test_a_worker_that_dies_is_what_aws_calls_it(message: str, name: str) -> None:
    died = {"body": {"errorMessage": message, "errorType": "Runtime.HandlerError"}, "error": True, "log": ""}
    assert as_lambda_error(died) == {**died, "body": {"errorMessage": message, "errorType": name}}


@pytest.mark.parametrize("body", [None, "text", [1], {"errorMessage": "mine"}])
def test_other_results_pass_unchanged(body: Any) -> None:
    assert as_lambda_error({"body": body, "log": ""}) == {"body": body, "log": ""}


@pytest.mark.parametrize("script", ["", "something else", repair_script(runtime._PYTHON_WORKER_SCRIPT)])  # noqa: SLF001
def test_a_worker_of_another_kind_is_refused(script: str) -> None:
    with pytest.raises(IncompatibleMinistackError, match=r"requirements/run\.txt"):
        repair_script(script)


@pytest.mark.parametrize(
    ("trace", "shown"), [(["errors.Doubtful: 0.5"], False), (["app.Bug: a"], True), (["TypeError: b"], True)]
)
def test_an_error_that_the_function_names_is_logged_without_a_trace(trace: list[str], *, shown: bool) -> None:
    name = trace[-1].split(":")[0].rpartition(".")[2]
    line = json.loads(error_line({"errorMessage": "0.5", "errorType": name, "stackTrace": trace}))
    assert (line["log_level"], line["errorType"]) == ("ERROR", name)
    assert ("stackTrace" in line) is shown


def test_throttling_has_aws_name_and_the_latest_logs_are_kept(repair: Callable[..., None]) -> None:
    repair(lambda_.REPAIRS, runtime, runtime.Worker, lambda_svc)
    body = lambda_svc._throttle_response("reason", "m")["body"]  # noqa: SLF001
    names = (body["__type"], body["errorType"])
    assert names == ("TooManyRequestsException", "Lambda.TooManyRequestsException")

    own = {"config": {"FunctionName": "f", "LoggingConfig": {"LogGroup": "own"}}}
    numbers = [str(number) for number in range(LOGS + 5)]
    for function, number in [({"FunctionName": "other"}, "0"), *((own, number) for number in numbers)]:
        lambda_svc._emit_lambda_logs(function, number, "", False, 1)  # noqa: SLF001
    groups = cloudwatch_logs._log_groups  # noqa: SLF001
    streams = groups["own"]["streams"].values()
    assert [stream["events"][0]["message"].split()[2] for stream in streams] == numbers[5:]
    assert len(groups["/aws/lambda/other"]["streams"]) == 1


def test_a_worker_is_started_beside_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    started, begun = list[Any](), threading.Event()

    def acquire(name: str, _config: Any, _code: bytes) -> Any:
        started.append(name)
        begun.set()
        raise RuntimeError("which the deployment does not see")

    monkeypatch.setattr(runtime, "acquire_worker", acquire)
    function = {"config": {"FunctionName": "f"}, "code_zip": b"code"}
    monkeypatch.setattr(lambda_svc, "_functions", {"f": function})
    assert lambda_.deploy(lambda _: "deployed", {"FunctionName": "f"}) == "deployed"
    assert begun.wait(30)
    assert lambda_.deploy(lambda *_: "refused", "g", {}) == "refused"
    assert started == ["f"]
