"""Lambda as on AWS: errors have their class name, and the processes of a function are few.

ministack's Python worker drops an exception's class, so that every error arrives as `Runtime.HandlerError`
and no Catch by name can match; it also ends the worker. The worker's script is changed to reply with name and
trace, and the function that runs workers to turn that reply into Lambda's error. A worker that dies is
`Runtime.ExitError`.

It starts a process for every invocation that finds no idle one: a burst of 150 photos started 201 of them, 8
GB. Here a function has `WORKERS_A_FUNCTION` at most, and further invocations wait, as for a new environment
on AWS; the account's concurrency is AWS's default of 1,000. Throttling has the error name that Step Functions
gives it.
"""

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from localcloud.ministack.errors import expect, wrap

WORKERS_A_FUNCTION: Final = max(2, min(4, 2 * (os.cpu_count() or 1)))
"""Four functions then have 16 processes at most, about 50 MB each."""
THROTTLED: Final = "Lambda.TooManyRequestsException"
_WAIT_S: Final = 600  # far above a burst; a function that waits for itself must end some time

Execute = Callable[[dict[str, Any], Any, str], dict[str, Any]]


RAISED = "scones.local/raised"
"""Key that marks a worker's reply as an exception; no handler returns it."""

_DROPS_THE_NAME = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
_KEEPS_THE_NAME = (
    '{"status": "ok", "result": {"' + RAISED + '": {"errorMessage": str(e), "errorType": type(e).__name__, '
    '"stackTrace": traceback.format_exc().splitlines()}}}'
)


def repair_script(script: str) -> str:
    """Return the source of a Python worker that replies with an exception's class name.

    Raises:
        IncompatibleMinistackError: the place to change does not occur exactly once.
    """
    expect(script.count(_DROPS_THE_NAME) == 1, "ministack's Lambda worker is another")
    return script.replace(_DROPS_THE_NAME, _KEEPS_THE_NAME)


DIED = ("Worker process died", "Worker returned no response", "Broken pipe")
"""What ministack says of a worker that ended before it replied."""


def as_lambda_error(result: dict[str, Any]) -> dict[str, Any]:
    """Turn a reply that `repair_script` makes, or a worker's death, into Lambda's error."""
    body = result.get("body")
    if result.get("error") and isinstance(body, dict) and _died(str(body.get("errorMessage"))):
        return {**result, "body": {**body, "errorType": "Runtime.ExitError"}}
    if not isinstance(body, dict) or RAISED not in body:
        return result
    raised = body[RAISED]
    log = "\n".join(filter(None, [result.get("log", ""), *raised["stackTrace"]]))
    return {"body": raised, "error": True, "log": log}


def _died(message: str) -> bool:
    return any(text in message for text in DIED)


class Queue:
    """Lets a few invocations of each function run at a time, in the order in which they came."""

    def __init__(self, limit: int) -> None:
        self._slots: dict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(limit))
        self._lock = threading.Lock()

    def around(self, execute: Execute, throttled: Callable[[], dict[str, Any]]) -> Execute:
        """Return a function that waits before it executes; `throttled` answers one that waited in vain."""

        def wait_and_execute(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
            name = str((func.get("config") or func).get("FunctionName", ""))
            with self._lock:
                slot = self._slots[name]
            if not slot.acquire(timeout=_WAIT_S):
                return throttled()
            try:
                return execute(func, event, request_id)
            finally:
                slot.release()

        return wait_and_execute


def named(throttle: dict[str, Any]) -> dict[str, Any]:
    """Return ministack's answer to a throttled invocation with the name that Step Functions gives it."""
    return {**throttle, "body": {**throttle["body"], "errorType": THROTTLED}}


def apply() -> None:
    """Repair the imported ministack."""
    # Imported here: it takes a second, and the tests of the pure parts need none of it.
    from ministack.core import lambda_runtime  # type: ignore[import-untyped]  # noqa: PLC0415
    from ministack.services import lambda_svc  # type: ignore[import-untyped]  # noqa: PLC0415

    def naming(throttle: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        return lambda *args, **kwargs: named(throttle(*args, **kwargs))

    def throttled() -> dict[str, Any]:
        reason = f"no worker became free within {_WAIT_S} s"
        answer: dict[str, Any] = lambda_svc._throttle_response(  # noqa: SLF001
            "ConcurrentInvocationLimitExceeded", reason
        )
        return answer

    def queueing(execute: Execute) -> Execute:
        return Queue(WORKERS_A_FUNCTION).around(lambda *args: as_lambda_error(execute(*args)), throttled)

    lambda_runtime._PYTHON_WORKER_SCRIPT = repair_script(lambda_runtime._PYTHON_WORKER_SCRIPT)  # noqa: SLF001
    wrap(lambda_svc, "_throttle_response", ("reason_code", "msg"), naming)
    wrap(lambda_svc, "_execute_function_warm", ("func", "event", "request_id"), queueing)
