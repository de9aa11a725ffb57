"""Step Functions as on AWS: waits of retries, refused events, bounded memory; and without idle time.

ministack keeps every execution for ever, 0.2 MiB a photo (here the latest `EXECUTIONS` can be described);
waits 0.15 s before each; parses definitions and expressions each time; starts a thread for each task; and
starts a synchronous execution by way of its server.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error
"""

import copy
import functools
import json
import random
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, Final

import jsonata  # type: ignore[import-untyped]
from ministack.services import stepfunctions as engine

from localcloud.ministack.executions import parsed_definition
from localcloud.ministack.repairs import Repairs

REPAIRS: Final = Repairs()
EXECUTIONS: Final = 500
PUT_EVENTS: Final = "arn:aws:states:::events:putEvents"
_TASKS: Final = 10_000
"""Threads at most, far above what runs: a task may wait for those of the execution that it started."""
EXECUTION: Final[ContextVar[Mapping[str, Any] | None]] = ContextVar("execution", default=None)
"""The execution whose task runs."""
_random = random.Random()  # noqa: S311  # no secret


def delay_seconds(retrier: Mapping[str, Any], retries: int, share: float) -> float:
    """Return how long the next retry by an entry of `Retry` waits; `share` is a random number from 0 to 1."""
    delay = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** retries
    delay = min(delay, float(retrier.get("MaxDelaySeconds", delay)))
    return share * delay if retrier.get("JitterStrategy") == "FULL" else delay


@REPAIRS.around(engine, "_find_matching_retrier", "retriers", "error", "retry_counts")
def find_retrier(find: Callable[..., Any], retriers: Any, error: Any, counts: Mapping[int, int]) -> Any:
    """Return the retrier of an error, with a constant interval of the right length."""
    retrier, index = find(retriers, error, counts)
    if retrier is None:
        return retrier, index
    seconds = delay_seconds(retrier, counts.get(index, 0), _random.random())
    return {**retrier, "IntervalSeconds": seconds, "BackoffRate": 1.0}, index


def put_events(put: Callable[..., Any], resource: str, data: Mapping[str, Any]) -> Any:
    """Call PutEvents: events name the execution, and a refused one is an error."""
    running = EXECUTION.get() or {}
    arns = [running[name] for name in ("stateMachineArn", "executionArn") if name in running]
    entries = [{**one, "Resources": [*one.get("Resources", []), *arns]} for one in data.get("Entries", [])]
    result = put(resource, {**data, "Entries": entries})
    if result.get("FailedEntryCount"):
        raise engine._ExecutionError("EventBridge.FailedEntry", json.dumps(result))
    return result


@REPAIRS.step
def _put_events() -> None:
    calls = engine._SERVICE_DISPATCH
    calls[PUT_EVENTS] = functools.partial(put_events, calls[PUT_EVENTS])


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    expression = jsonata.Jsonata(text)
    engine._register_sfn_jsonata_functions(expression)
    return expression


def expression(text: str) -> Any:
    """Return a JSONata expression, which is parsed only once.

    It has no time limit: AWS's second is one of its own machines, which a busy laptop is not.
    """
    fresh = copy.copy(_parsed(text))  # threads share what is parsed, not what is bound
    jsonata.Jsonata.CURRENT.jsonata = fresh
    return fresh


_finished: deque[str] = deque()


@REPAIRS.around(engine, "_run_execution", "exec_arn")
def run_execution(run: Callable[[str], None], arn: str) -> None:
    """Run an execution; forget the oldest finished ones beyond the limit, and the history of EXPRESS."""
    executions = engine._executions
    try:
        run(arn)
    finally:
        if ":express:" in arn and arn in executions:  # their history is their log
            del executions[arn]["events"][:-1]
        _finished.append(arn)
        while len(_finished) > EXECUTIONS:
            executions.pop(_finished.popleft(), None)


def _start(service: str, action: str, data: Any) -> Any:
    """Start a synchronous execution without a request to the server; answer None to any other call."""
    if (service, action) != ("states", "StartSyncExecution"):
        return None
    return engine._finalize_response(copy_context().run(engine._start_sync_execution, data))


_CHANGES: Final = {
    "_run_execution": {
        "    time.sleep(0.15)\n": "",
        'json.loads(sm["definition"])': '_parsed_definition(sm["definition"])',
    },
    "_execute_task": {'    is_callback = ".wait': '    _running.set(execution)\n    is_callback = ".wait'},
    "_evaluate_jsonata": {
        "jsonata.Jsonata.jsonata(expression, timeout=1000)": "_expression(expression)",
        "        _register_sfn_jsonata_functions(expr)\n": "",
    },
    "_jsonata_result_defined": {
        'jsonata.Jsonata.jsonata(f"$exists(({expression}))", timeout=1000)': """_expression(
            f"$exists(({expression}))")""",
        "        _register_sfn_jsonata_functions(probe)\n": "",
    },
    "_invoke_resource_with_timeout": {
        "ThreadPoolExecutor(max_workers=1)": "_tasks",
        "    pool.shutdown(wait=False)\n": "",
    },
    "_dispatch_aws_sdk_json": {
        "or app.call_": "or _start(service_key, pascal_action, wire_data) or app.call_"
    },
}


REPAIRS.rewrite(
    engine,
    _CHANGES,
    *(parsed_definition, expression, _start),
    _tasks=ThreadPoolExecutor(_TASKS),
    _running=EXECUTION,
)
