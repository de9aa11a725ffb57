"""Lambda as on AWS: errors have their class name, and the processes of a function are few.

ministack's Python worker drops an exception's class, so that no Catch by name can match. Its script is
changed to reply with name and trace, which become Lambda's error here. A worker that does not start goes with
its folder, and no other does: ministack ends all workers of the function, starting ones too, whose
invocations then fail under names of Python's that nobody retries.

It starts a process for every invocation that finds no idle one: a burst of 150 photos started 201 of them, 8
GB. Here a function has `WORKERS_A_FUNCTION` at most, the first when it is deployed, and further invocations
wait, as for a new environment on AWS. Logs of all invocations are 12 KiB a photo; the latest `LOGS` stay.
"""

import json
import logging
import os
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any, Final

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from localcloud.ministack.repairs import Repairs, replaced

REPAIRS: Final = Repairs()
WORKERS_A_FUNCTION: Final = max(2, min(4, 1 + (os.cpu_count() or 1)))
"""Three functions then have 12 processes at most, 50 to 80 MB each."""
LOGS: Final = 500
_LOG_S: Final = 1.0  # far above what its pipe takes; a function may have closed it
_WAIT_S: Final = 600  # far above a burst; a function that waits for itself must end some time

Answer = dict[str, Any]
_log: Final = logging.getLogger(__name__)

# --- A worker's script --------------------------------------------------------------------------------------

RAISED: Final = "scones.local/raised"
"""Key that marks a worker's reply as an exception; no handler returns it."""
LOGGED: Final = "scones.local/logged "
"""Begins the line behind the log of an invocation, which ends with the request's id."""
MOST_BYTES: Final = 6_291_556
_TOO_LARGE: Final = {
    "errorMessage": f"Response payload size exceeded maximum allowed payload size ({MOST_BYTES} bytes).",
    "errorType": "Function.ResponseSizeTooLarge",
    "stackTrace": [],
}
_REFUSED: Final = json.dumps({"status": "ok", "result": {RAISED: _TOO_LARGE}})
_IMPORTS: Final = "import sys, json, importlib, traceback, os, time\n"
_LOGGING: Final = """
import logging as _log
class _Json(_log.Formatter):
    def format(self, record):
        known = vars(_log.makeLogRecord({})).keys() | {"message"}
        line = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))}
        line |= {"level": record.levelname, "message": record.getMessage(), "logger": record.name}
        line |= {name: value for name, value in vars(record).items() if name not in known}
        if record.exc_info:
            line["stackTrace"] = traceback.format_exception(*record.exc_info)
        return json.dumps(line, default=str)
_handler = _log.StreamHandler(sys.stderr)
_handler.setFormatter(_Json())
_log.getLogger().addHandler(_handler)
"""
_SCRIPT: Final = {
    _IMPORTS: _IMPORTS + _LOGGING,
    '{"status": "error", "error": str(e), "trace": traceback.format_exc()}': (
        '{"status": "ok", "result": {"'
        + RAISED
        + '": {"errorMessage": str(e), "errorType": type(e).__name__, '
        '"stackTrace": traceback.format_exc().splitlines()}}}'
    ),
    # An error while the handler is imported is the invocation's, and the next one imports it anew.
    """except Exception as e:
        _real_stdout.write(json.dumps({"status": "error", "error": str(e)}) + "\\n")
        _real_stdout.flush()
        return
""": """except (Exception, SystemExit):
        _real_stdout.write(json.dumps({"status": "ready", "cold": True}) + "\\n")
        _real_stdout.flush()
        def handler_fn(event, context):
            try:
                return getattr(importlib.import_module(module_name), handler_name)(event, context)
            except ImportError as error:
                name, text = "Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}"
                raise type(name, (Exception,), {})(text) from error
""",
    # Whoever reads the log of an invocation need not wait for more.
    "            result = handler_fn(event, context)\n": f"""            try:
                result = handler_fn(event, context)
            finally:
                sys.__stderr__.write({LOGGED!r} + _ms_ctx.get("request_id", "") + "\\n")
                sys.__stderr__.flush()
""",
    # As in Lambda's own runtime, bytes are text and an answer has a limit.
    '_real_stdout.write(json.dumps({"status": "ok", "result": result})': (
        f"""text = json.dumps({{"status": "ok", "result": result}}, default=bytes.decode)
            _real_stdout.write((text if len(text) <= {MOST_BYTES} else {_REFUSED!r})"""
    ),
}


def repair_script(script: str) -> str:
    """Return the source of a Python worker that replies and logs as Lambda's runtime does."""
    return replaced(script, _SCRIPT, "ministack's Lambda worker")


@REPAIRS.step
def _repair_script() -> None:
    lambda_runtime._PYTHON_WORKER_SCRIPT = repair_script(lambda_runtime._PYTHON_WORKER_SCRIPT)


# --- Errors -------------------------------------------------------------------------------------------------

NOT_STARTED: Final = "The worker did not start: "
NAMES: Final = {
    NOT_STARTED: "Lambda.ServiceException",
    "Worker process died": "Runtime.ExitError",
    "Worker returned no response": "Runtime.ExitError",
    "[Errno 32] Broken pipe": "Runtime.ExitError",
    "'NoneType' object has no attribute 'std": "Runtime.ExitError",
}
"""AWS's names, by the beginning of what ministack says of a worker that ended before it replied."""


def as_lambda_error(result: Answer) -> Answer:
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
    """Return an error as Lambda logs it with LogFormat JSON; one of the module `errors` needs no trace."""
    line = {"timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "log_level": "ERROR", **raised}
    own = any(text.startswith(f"errors.{raised['errorType']}: ") for text in raised["stackTrace"])
    return json.dumps({name: value for name, value in line.items() if name != "stackTrace" or not own})


# --- Workers ------------------------------------------------------------------------------------------------


@REPAIRS.around(lambda_runtime.Worker, "invoke", "self", "event", "request_id")
def invoke(original: Callable[..., Answer], worker: Any, event: Any, request_id: str, **more: Any) -> Answer:
    """Let a worker answer, and raise nothing; one whose process ended goes with its folder.

    ministack may also find that the process has to be started. How its log will end is noted for `read_log`.
    """
    is_python = worker.config.get("Runtime", "python").startswith("python")
    worker.end_of_log = LOGGED + request_id if is_python else None
    try:
        answer = original(worker, event, request_id, **more)
    except Exception as error:  # noqa: BLE001 - whatever it is, this worker does not work
        answer = {"status": "error", "error": f"{NOT_STARTED}{error}"}
    if answer["status"] == "error":
        lambda_runtime.kill_workers([worker])
    return answer


@REPAIRS.around(lambda_runtime.Worker, "_drain_stderr_bounded", "self")
def read_log(drain: Callable[..., str], worker: Any, *args: Any, **kwargs: Any) -> str:
    """Return an invocation's log to its end.

    ministack looks every millisecond whether more came, and waits 50 ms for a function that logs nothing.
    """
    end = getattr(worker, "end_of_log", None)
    if not end or worker._proc is None:  # which died
        return drain(worker, *args, **kwargs)
    lines = [""]
    with suppress(queue.Empty):
        while not lines[-1].endswith(end):
            lines.append(worker._stderr_queue.get(timeout=_LOG_S))
    return "\n".join(line.partition(LOGGED)[0] for line in lines[1:] if not line.startswith(LOGGED))


@REPAIRS.around(lambda_svc, "release_worker", "worker")
def release(original: Callable[[Any], None], worker: Any) -> None:
    """Return a worker to its pool, or end it if its code was replaced meanwhile."""
    original(worker)
    if worker and not any(worker in pool for pool in list(lambda_runtime._workers.values())):
        lambda_runtime.kill_workers([worker])


_slots: dict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(WORKERS_A_FUNCTION))
_slots_lock: Final = threading.Lock()


@REPAIRS.around(lambda_svc, "_execute_function_warm", "func", "event", "request_id")
def execute(original: Callable[..., Answer], func: Mapping[str, Any], event: Any, request_id: str) -> Answer:
    """Run a function when one of its workers is free, in the order of the invocations."""
    with _slots_lock:
        slot = _slots[str((func.get("config") or func).get("FunctionName", ""))]
    if not slot.acquire(timeout=_WAIT_S):
        reason = f"no worker became free within {_WAIT_S} s"
        throttled: Answer = lambda_svc._throttle_response("ConcurrentInvocationLimitExceeded", reason)
        return throttled
    try:
        return as_lambda_error(original(func, event, request_id))
    finally:
        slot.release()


_CHANGES: Final = {
    "_throttle_response": {
        '"__type": "TooMany': '"errorType": "Lambda.TooManyRequestsException", "__type": "TooMany'
    },
    "_emit_lambda_logs": {
        '        stream = group["streams"][stream_name]\n': f"""        stream = group["streams"][stream_name]
        for oldest in list(group["streams"])[:-{LOGS}]:
            group["streams"].pop(oldest, None)
"""
    },
}
REPAIRS.rewrite(lambda_svc, _CHANGES)


@REPAIRS.around(lambda_svc, "_create_function", "data")
@REPAIRS.around(lambda_svc, "_update_code", "name", "data")
def deploy(original: Callable[..., Any], *args: Any) -> Any:
    """Deploy a function's code, and start a worker of it beside the answer."""
    answer = original(*args)
    name = args[0].get("FunctionName") if isinstance(args[0], dict) else args[0]
    if function := lambda_svc._functions.get(str(name)):
        run = copy_context().run  # of the account that asked
        threading.Thread(target=run, args=(start, function), daemon=True).start()
    return answer


def start(function: Mapping[str, Any]) -> None:
    """Start a worker of a function, if it can be."""
    config, code = function["config"], function.get("code_zip")
    if not code:
        return
    try:
        worker, _ = lambda_runtime.acquire_worker(config["FunctionName"], config, code)
        try:
            lambda_runtime.ensure_spawned(worker)
        finally:
            lambda_svc.release_worker(worker)
    except Exception as error:  # noqa: BLE001 - the first invocation starts it again, and reports what is wrong
        _log.warning("a worker was not started before its first photo: %s", error)
