"""Lambda as on AWS: errors have their class name, and the processes of a function are few.

ministack's Python worker drops an exception's class, so that every error arrives as `Runtime.HandlerError`
and no Catch by name can match; it also ends the worker. The worker's script is changed to reply with name and
trace, and the function that runs workers to turn that reply into Lambda's error. A worker that dies is
`Runtime.ExitError`. One that does not start is `Lambda.ServiceException`; it goes with its folder, and no
other does: ministack ends all workers of the function, starting ones too, whose invocations then fail under
names of Python's that nobody retries.

It starts a process for every invocation that finds no idle one: a burst of 150 photos started 201 of them, 8
GB. Here a function has `WORKERS_A_FUNCTION` at most, and further invocations wait, as for a new environment
on AWS; the account's concurrency is AWS's default of 1,000. Throttling has the error name that Step Functions
gives it. It keeps the logs of all invocations, 12 KiB a photo; here those of a function's latest `LOGS`.
"""

import json
import os
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from localcloud.ministack.errors import replaced, wrap

WORKERS_A_FUNCTION: Final = max(2, min(4, 1 + (os.cpu_count() or 1)))
"""Three functions then have 12 processes at most, 50 to 80 MB each."""
LOGS: Final = 500
THROTTLED: Final = "Lambda.TooManyRequestsException"
_LOG_S: Final = 1.0  # far above what its pipe takes; a function may have closed it
_WAIT_S: Final = 600  # far above a burst; a function that waits for itself must end some time

Execute = Callable[[dict[str, Any], Any, str], dict[str, Any]]


RAISED = "scones.local/raised"
"""Key that marks a worker's reply as an exception; no handler returns it."""
LOGGED: Final = "scones.local/logged "
"""Begins the line behind the log of an invocation, which ends with the request's id."""

_DROPS_THE_NAME = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
_KEEPS_THE_NAME = (
    '{"status": "ok", "result": {"' + RAISED + '": {"errorMessage": str(e), "errorType": type(e).__name__, '
    '"stackTrace": traceback.format_exc().splitlines()}}}'
)


MOST_BYTES: Final = 6_291_556
_TOO_LARGE: Final = {
    "errorMessage": f"Response payload size exceeded maximum allowed payload size ({MOST_BYTES} bytes).",
    "errorType": "Function.ResponseSizeTooLarge",
    "stackTrace": [],
}
_REFUSED: Final = json.dumps({"status": "ok", "result": {RAISED: _TOO_LARGE}})
_SCRIPT: Final = (
    (_DROPS_THE_NAME, _KEEPS_THE_NAME),
    # An error while the handler is imported is the invocation's, and the next one imports it anew.
    (
        """except Exception as e:
        _real_stdout.write(json.dumps({"status": "error", "error": str(e)}) + "\\n")
        _real_stdout.flush()
        return
""",
        """except (Exception, SystemExit):
        _real_stdout.write(json.dumps({"status": "ready", "cold": True}) + "\\n")
        _real_stdout.flush()
        def handler_fn(event, context):
            try:
                return getattr(importlib.import_module(module_name), handler_name)(event, context)
            except ImportError as error:
                name, text = "Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}"
                raise type(name, (Exception,), {})(text) from error
""",
    ),
    # Whoever reads the log of an invocation need not wait for more.
    (
        "            result = handler_fn(event, context)\n",
        f"""            try:
                result = handler_fn(event, context)
            finally:
                sys.__stderr__.write({LOGGED!r} + _ms_ctx.get("request_id", "") + "\\n")
                sys.__stderr__.flush()
""",
    ),
    # As in Lambda's own runtime, bytes are text and an answer has a limit.
    (
        '_real_stdout.write(json.dumps({"status": "ok", "result": result})',
        f"""text = json.dumps({{"status": "ok", "result": result}}, default=bytes.decode)
            _real_stdout.write((text if len(text) <= {MOST_BYTES} else {_REFUSED!r})""",
    ),
)


def repair_script(script: str) -> str:
    """Return the source of a Python worker that replies as Lambda's runtime does.

    Raises:
        IncompatibleMinistackError: a place to change does not occur exactly once.
    """
    return replaced(script, dict(_SCRIPT), "ministack's Lambda worker")


NOT_STARTED: Final = "The worker did not start: "
NAMES: Final = {
    NOT_STARTED: "Lambda.ServiceException",
    "Worker process died": "Runtime.ExitError",
    "Worker returned no response": "Runtime.ExitError",
    "[Errno 32] Broken pipe": "Runtime.ExitError",
    "'NoneType' object has no attribute 'std": "Runtime.ExitError",
}
"""AWS's names, by the beginning of what ministack says of a worker that ended before it replied."""


def as_lambda_error(result: dict[str, Any]) -> dict[str, Any]:
    """Turn a reply that `repair_script` makes, or a worker's death, into Lambda's error."""
    body = result.get("body")
    if result.get("error") and isinstance(body, dict):
        message = str(body.get("errorMessage"))
        name = next((name for text, name in NAMES.items() if message.startswith(text)), None)
        return {**result, "body": {**body, "errorType": name}} if name else result
    if not isinstance(body, dict) or RAISED not in body:
        return result
    raised = body[RAISED]
    log = "\n".join(filter(None, [result.get("log", ""), error_line(raised)]))
    return {"body": raised, "error": True, "log": log}


def error_line(raised: Mapping[str, Any]) -> str:
    """Return an error as Lambda logs it with LogFormat JSON.

    An error of the function's module `errors` says all by itself: it has no trace there.
    """
    line = {"timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "log_level": "ERROR", **raised}
    own = any(text.startswith(f"errors.{raised['errorType']}: ") for text in raised["stackTrace"])
    return json.dumps({name: value for name, value in line.items() if name != "stackTrace" or not own})


def expecting(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """Return a worker's `invoke` that notes the end of the log that a Python worker will write."""

    def note_and_invoke(worker: Any, event: Any, request_id: str, **more: Any) -> Any:
        is_python = worker.config.get("Runtime", "python").startswith("python")
        worker.end_of_log = LOGGED + request_id if is_python else None
        return invoke(worker, event, request_id, **more)

    return note_and_invoke


def whole_log(drain: Callable[..., str]) -> Callable[..., str]:
    """Return a worker's `_drain_stderr_bounded` that reads to the end of an invocation's log, and no longer.

    ministack looks every millisecond whether more came, and waits 50 ms for a function that logs nothing.
    """

    def read_to_the_end(worker: Any, *args: Any, **kwargs: Any) -> str:
        end = getattr(worker, "end_of_log", None)
        if not end or worker._proc is None:  # which died
            return drain(worker, *args, **kwargs)
        lines = [""]
        with suppress(queue.Empty):
            while not lines[-1].endswith(end):
                lines.append(worker._stderr_queue.get(timeout=_LOG_S))
        return "\n".join(line.partition(LOGGED)[0] for line in lines[1:] if not line.startswith(LOGGED))

    return read_to_the_end


def ending_alone(invoke: Callable[..., Any], end: Callable[[list[Any]], None]) -> Callable[..., Any]:
    """Return a worker's `invoke` that raises nothing; a worker whose process ended goes with its folder.

    Args:
        invoke: ministack's, which may also find that the process has to be started.
        end: ends workers and removes their folders.
    """

    def invoke_or_end(worker: Any, event: Any, request_id: str, **more: Any) -> Any:
        try:
            answer = invoke(worker, event, request_id, **more)
        except Exception as error:  # noqa: BLE001 - whatever it is, this worker does not work
            answer = {"status": "error", "error": f"{NOT_STARTED}{error}"}
        if answer["status"] == "error":
            end([worker])
        return answer

    return invoke_or_end


def ending_discarded(
    release: Callable[[Any], None], pools: Mapping[str, list[Any]], end: Callable[[list[Any]], None]
) -> Callable[[Any], None]:
    """Return a function that returns a worker to its pool, or ends it if its code was replaced meanwhile."""

    def release_or_end(worker: Any) -> None:
        release(worker)
        if worker and not any(worker in pool for pool in list(pools.values())):
            end([worker])

    return release_or_end


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


def keeping_latest(
    write: Callable[..., None], groups: Callable[[], Mapping[str, Any]]
) -> Callable[..., None]:
    """Return a function that writes an invocation's log stream and removes the oldest beyond `LOGS`."""

    def write_and_forget(func: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        write(func, *args, **kwargs)
        config = func.get("config") or func
        default = f"/aws/lambda/{config.get('FunctionName')}"
        name = (config.get("LoggingConfig") or {}).get("LogGroup") or default
        streams = groups().get(name, {}).get("streams", {})
        for stream in list(streams)[:-LOGS]:
            streams.pop(stream, None)

    return write_and_forget


def named(throttle: dict[str, Any]) -> dict[str, Any]:
    """Return ministack's answer to a throttled invocation with the name that Step Functions gives it."""
    return {**throttle, "body": {**throttle["body"], "errorType": THROTTLED}}


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.core import lambda_runtime
    from ministack.services import cloudwatch_logs, lambda_svc

    def naming(throttle: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        return lambda *args, **kwargs: named(throttle(*args, **kwargs))

    def throttled() -> dict[str, Any]:
        reason = f"no worker became free within {_WAIT_S} s"
        answer: dict[str, Any] = lambda_svc._throttle_response("ConcurrentInvocationLimitExceeded", reason)
        return answer

    def queueing(execute: Execute) -> Execute:
        return Queue(WORKERS_A_FUNCTION).around(lambda *args: as_lambda_error(execute(*args)), throttled)

    end, pools = lambda_runtime.kill_workers, lambda_runtime._workers
    invocation = ("self", "event", "request_id")
    wrap(lambda_runtime.Worker, "invoke", invocation, lambda one: expecting(ending_alone(one, end)))
    wrap(lambda_runtime.Worker, "_drain_stderr_bounded", ("self",), whole_log)
    wrap(lambda_svc, "release_worker", ("worker",), lambda one: ending_discarded(one, pools, end))
    lambda_runtime._PYTHON_WORKER_SCRIPT = repair_script(lambda_runtime._PYTHON_WORKER_SCRIPT)
    wrap(
        lambda_svc,
        "_emit_lambda_logs",
        ("func", "request_id", "log_text"),
        lambda write: keeping_latest(write, lambda: cloudwatch_logs._log_groups),
    )
    wrap(lambda_svc, "_throttle_response", ("reason_code", "msg"), naming)
    wrap(lambda_svc, "_execute_function_warm", ("func", "event", "request_id"), queueing)
