"""Lambda's workers are bounded and fail alone, and throttling has AWS's name."""

import io
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.ministack.cloudformation import reserving
from localcloud.ministack.lambda_ import (
    LOGS,
    NOT_STARTED,
    THROTTLED,
    Queue,
    ending_alone,
    ending_discarded,
    expecting,
    keeping_latest,
    named,
    repair_script,
    whole_log,
)


def test_invocations_beyond_the_limit_wait_for_a_worker() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def execute(_func: Any, event: Any, _request_id: str) -> dict[str, Any]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return {"body": event}

    queued = Queue(3).around(execute, lambda: {"throttle": True})
    answers: list[Any] = []
    function = {"config": {"FunctionName": "serialize"}}
    threads = [
        threading.Thread(target=lambda n=n: answers.append(queued(function, n, "")["body"]))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(20))
    assert most == 3


def test_one_functions_queue_does_not_hold_up_another() -> None:
    queue = Queue(1)

    def classify(_func: Any, _event: Any, _request_id: str) -> dict[str, Any]:
        return {"body": "classified"}

    inner = queue.around(classify, dict)

    def serialize(_func: Any, event: Any, request_id: str) -> dict[str, Any]:
        return inner({"FunctionName": "classify"}, event, request_id)

    assert queue.around(serialize, dict)({"FunctionName": "serialize"}, {}, "") == {"body": "classified"}


def test_a_throttled_invocation_has_the_name_that_step_functions_gives_it() -> None:
    throttle: dict[str, Any] = {
        "throttle": True,
        "error": True,
        "body": {"__type": "TooManyRequestsException", "message": "m"},
    }
    assert named(throttle)["body"] == {**throttle["body"], "errorType": THROTTLED}
    assert THROTTLED == "Lambda.TooManyRequestsException"


def test_cloudformation_sets_a_functions_reserved_concurrency() -> None:
    functions: dict[str, Any] = {"f": {"concurrency": None}}
    create = reserving(lambda *_: ("f", {}), 1, lambda: functions)
    create("F", {"ReservedConcurrentExecutions": "5"}, "stack")
    assert functions["f"]["concurrency"] == 5
    create("F", {}, "stack")
    assert functions["f"]["concurrency"] is None


def test_the_logs_of_the_latest_invocations_are_kept() -> None:
    groups: dict[str, Any] = {"own": {"streams": {}}, "/aws/lambda/other": {"streams": {}}}

    def write(_func: Any, request_id: str) -> None:
        for group in groups.values():
            group["streams"][request_id] = {}

    keep = keeping_latest(write, lambda: groups)
    for number in range(LOGS + 5):
        keep({"config": {"FunctionName": "f", "LoggingConfig": {"LogGroup": "own"}}}, str(number))
    assert list(groups["own"]["streams"]) == [str(number) for number in range(5, LOGS + 5)]
    assert len(groups["/aws/lambda/other"]["streams"]) == LOGS + 5
    keep({"FunctionName": "other"}, "last")
    assert len(groups["/aws/lambda/other"]["streams"]) == LOGS


ECHO = """
import os
import sys

def handler(event, context):
    sys.stderr.write(event)
    return event if event else os._exit(1)
"""


class Pool:
    """Workers of ministack's own, with a handler that returns its event or dies; its folder is the test's."""

    def __init__(self, folder: Path) -> None:
        from ministack.core import lambda_runtime  # noqa: PLC0415

        self.runtime, self.folder = lambda_runtime, folder
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("app.py", ECHO)
        self._code = code.getvalue()
        self._invoke = ending_alone(lambda_runtime.Worker.invoke, lambda_runtime.kill_workers)
        self.release = ending_discarded(
            lambda_runtime.release_worker,
            lambda_runtime._workers,  # noqa: SLF001
            lambda_runtime.kill_workers,
        )

    def acquire(self) -> Any:
        """Lease a worker, a new one if all are leased."""
        arn = "arn:aws:lambda:us-east-1:000000000000:function:echo"
        config = {"FunctionName": "echo", "FunctionArn": arn, "Handler": "app.handler", "Timeout": 60}
        return self.runtime.acquire_worker("echo", config, self._code)[0]

    def invoke(self, worker: Any, event: Any = "event") -> Any:
        """Let a worker return an event; a false one kills it."""
        return self._invoke(worker, event, "request")

    def folders(self) -> int:
        """Return how many workers have a folder."""
        return len(list(self.folder.iterdir()))


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pool = Pool(tmp_path)
    yield pool
    pool.runtime.reset()
    assert pool.folders() == 0


def test_a_worker_that_fails_to_start_goes_alone_and_with_its_folder(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting, failing = pool.acquire(), pool.acquire()
    assert pool.invoke(lasting)["result"] == "event"
    with monkeypatch.context() as broken:
        broken.setattr(pool.runtime.subprocess, "Popen", lambda *_, **__: 1 // 0)
        failed = pool.invoke(failing)
    assert failed == {"status": "error", "error": f"{NOT_STARTED}integer division or modulo by zero"}
    assert (lasting._proc.poll(), pool.folders()) == (None, 1)  # noqa: SLF001
    assert pool.invoke(failing)["result"] == "event", "it starts for the next invocation"


def test_a_killed_worker_goes_alone_and_with_its_folder(pool: Pool) -> None:
    lasting, killed = pool.acquire(), pool.acquire()
    for worker in (lasting, killed):
        pool.invoke(worker)
    assert pool.invoke(killed, "")["error"] == "Worker process died"
    assert (lasting._proc.poll(), pool.folders()) == (None, 1)  # noqa: SLF001


def test_a_worker_whose_code_was_replaced_meanwhile_is_ended(pool: Pool) -> None:
    worker, kept = pool.acquire(), pool.acquire()
    pool.invoke(kept)
    pool.release(kept)
    assert pool.folders() == 1, "it waits for the next invocation"
    pool.runtime.invalidate_worker("echo")
    pool.invoke(worker)
    pool.release(worker)
    assert (worker._proc, pool.folders()) == (None, 0)  # noqa: SLF001


def test_the_log_of_an_invocation_is_read_to_its_end_and_not_longer(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = pool.runtime
    script = repair_script(runtime._PYTHON_WORKER_SCRIPT)  # noqa: SLF001
    monkeypatch.setattr(runtime, "_PYTHON_WORKER_SCRIPT", script)
    drain = whole_log(lambda *_: "ministack's")
    monkeypatch.setattr(runtime.Worker, "_drain_stderr_bounded", drain)
    invoke = expecting(runtime.Worker.invoke)
    worker = pool.acquire()
    for number, log in enumerate(["one", "two\n", "three\n\nfour", ".", "last\n" * 1000]):
        assert invoke(worker, log, f"request {number}")["log"] == log.removesuffix("\n")
    assert invoke(worker, "", "its last")["log"] == "ministack's", "a dead one writes no end"
