"""Lambda's workers are bounded, and throttling has AWS's name."""

import threading
import time
from typing import Any

from localcloud.ministack.cloudformation import reserving
from localcloud.ministack.lambda_ import THROTTLED, Queue, named


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
