"""Step Functions as on AWS: waits of retries, refused events, bounded memory; and without idle time.

ministack ignores `JitterStrategy` and `MaxDelaySeconds`, so that all photos of a burst come back at once;
takes an event that EventBridge refuses for published; keeps every execution for ever, 0.2 MiB a photo, where
here the latest `EXECUTIONS` can be described; waits 0.15 s before each execution; parses definitions and
expressions each time; starts a thread for each task; and starts a synchronous execution by way of its server.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error
"""

import copy
import functools
import json
import random
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, Final

from localcloud.ministack.errors import during, rewrite, wrap
from localcloud.ministack.executions import parsed_definition

EXECUTIONS: Final = 500
PUT_EVENTS: Final = "arn:aws:states:::events:putEvents"
_TASKS: Final = 10_000
"""Threads at most, far above what runs: a task may wait for those of the execution that it started."""
EXECUTION: Final[ContextVar[Mapping[str, Any] | None]] = ContextVar("execution", default=None)
"""The execution whose task runs."""
_random = random.Random()  # noqa: S311  # no secret


def delay_seconds(retrier: Mapping[str, Any], retries: int, share: float) -> float:
    """Return how long a retry waits.

    Args:
        retrier: an entry of a state's `Retry`.
        retries: how many were made before.
        share: a random number from 0 to 1, for `"JitterStrategy": "FULL"`.
    """
    delay = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** retries
    delay = min(delay, float(retrier.get("MaxDelaySeconds", delay)))
    return share * delay if retrier.get("JitterStrategy") == "FULL" else delay


def with_delays(find: Callable[..., Any]) -> Callable[..., Any]:
    """Return ministack's search for the retrier of an error, with a constant interval of the right length."""

    def find_with_delay(retriers: Any, error: Any, counts: Mapping[int, int]) -> Any:
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return retrier, index
        seconds = delay_seconds(retrier, counts.get(index, 0), _random.random())
        return {**retrier, "IntervalSeconds": seconds, "BackoffRate": 1.0}, index

    return find_with_delay


def refusing(put: Callable[..., Any], error: Callable[[str, str], Exception]) -> Callable[..., Any]:
    """Return a state's call of PutEvents: events name the execution, and a refused one is an error."""

    def put_or_fail(resource: str, data: Mapping[str, Any]) -> Any:
        running = EXECUTION.get() or {}
        arns = [running[name] for name in ("stateMachineArn", "executionArn") if name in running]
        entries = [
            {**one, "Resources": [*one.get("Resources", []), *arns]} for one in data.get("Entries", [])
        ]
        result = put(resource, {**data, "Entries": entries})
        if result.get("FailedEntryCount"):
            raise error("EventBridge.FailedEntry", json.dumps(result))
        return result

    return put_or_fail


def remembering(parse: Any, register: Callable[[Any], None]) -> Callable[[str], Any]:
    """Return the class `Jsonata` as a function that parses an expression only once.

    An expression has no time limit: AWS's second is one of its own machines, which a busy laptop is not.

    Args:
        parse: the class.
        register: adds the functions of Step Functions to an expression.
    """

    @functools.lru_cache(maxsize=1024)
    def parsed(text: str) -> Any:
        expression = parse(text)
        register(expression)
        return expression

    def expression(text: str) -> Any:
        fresh = copy.copy(parsed(text))  # threads share what is parsed, not what is bound
        parse.CURRENT.jsonata = fresh
        return fresh

    return expression


class Finished:
    """Forgets the oldest finished executions beyond a limit, and the history of synchronous ones."""

    def __init__(self, limit: int) -> None:
        self._arns: deque[str] = deque()
        self._limit = limit

    def after(
        self, run: Callable[[str], None], executions: MutableMapping[str, Any]
    ) -> Callable[[str], None]:
        """Return a function that runs an execution and then notes its end."""

        def run_and_note(arn: str) -> None:
            try:
                run(arn)
            finally:
                if ":express:" in arn and arn in executions:  # their history is their log
                    del executions[arn]["events"][:-1]
                self._arns.append(arn)
                while len(self._arns) > self._limit:
                    executions.pop(self._arns.popleft(), None)

        return run_and_note


_CHANGES: Final = {
    "_run_execution": {
        "    time.sleep(0.15)\n": "",
        'json.loads(sm["definition"])': '_parsed(sm["definition"])',
    },
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


def apply() -> None:
    """Repair the imported ministack."""
    import jsonata  # type: ignore[import-untyped]
    from ministack.services import stepfunctions as engine

    def start(service: str, action: str, data: Any) -> Any:
        if (service, action) != ("states", "StartSyncExecution"):
            return None
        return engine._finalize_response(copy_context().run(engine._start_sync_execution, data))

    rewrite(
        engine,
        _CHANGES,
        _parsed=parsed_definition,
        _expression=remembering(jsonata.Jsonata, engine._register_sfn_jsonata_functions),
        _tasks=ThreadPoolExecutor(_TASKS),
        _start=start,
    )
    wrap(engine, "_find_matching_retrier", ("retriers", "error", "retry_counts"), with_delays)
    executions, finished = engine._executions, Finished(EXECUTIONS)
    wrap(engine, "_run_execution", ("exec_arn",), lambda run: finished.after(run, executions))

    def naming_execution(run: Callable[..., Any]) -> Callable[..., Any]:
        def run_task(state: Any, data: Any, execution: Any, context: Any) -> Any:
            with during(EXECUTION, execution):
                return run(state, data, execution, context)

        return run_task

    wrap(engine, "_execute_task", ("state_def", "raw_input", "execution", "ctx"), naming_execution)
    calls = engine._SERVICE_DISPATCH
    calls[PUT_EVENTS] = refusing(calls[PUT_EVENTS], engine._ExecutionError)
