"""Step Functions as on AWS: waits of retries, refused events, bounded memory; and without idle time.

ministack ignores `JitterStrategy` and `MaxDelaySeconds`, so that all photos of a burst come back at once;
takes an event that EventBridge refuses for published; keeps every execution for ever, 0.2 MiB a photo, where
here the latest `EXECUTIONS` can be described; waits 0.15 s before each execution; and parses an
expression each time.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error
"""

import copy
import functools
import inspect
import json
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Final

from localcloud.ministack.errors import during, expect, wrap

EXECUTIONS: Final = 500
PUT_EVENTS: Final = "arn:aws:states:::events:putEvents"
_START_PAUSE_S: Final = 0.15
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


def remembering(parse: Any) -> Callable[..., Any]:
    """Return the class `Jsonata` as a function that parses an expression only once.

    An expression has no time limit: AWS's second is one of its own machines, which a busy laptop is not.
    """
    parsed = functools.lru_cache(maxsize=1024)(parse)

    def expression(text: str, **_: Any) -> Any:
        fresh = copy.copy(parsed(text))  # threads share what is parsed, not what is bound
        fresh.environment = fresh.create_frame(parse.static_frame)
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


def apply() -> None:
    """Repair the imported ministack."""
    import jsonata  # type: ignore[import-untyped]  # noqa: PLC0415
    from ministack.services import stepfunctions as engine  # type: ignore[import-untyped]  # noqa: PLC0415

    pause, parse = f"time.sleep({_START_PAUSE_S})", "jsonata.Jsonata.jsonata(expression, "
    run = inspect.getsource(engine._run_execution)  # noqa: SLF001
    expect(run.count(pause) == 1, "executions begin in another way")
    evaluate = inspect.getsource(engine._evaluate_jsonata)  # noqa: SLF001
    expect(parse in evaluate, "expressions are parsed in another way")
    parse_once = remembering(jsonata.Jsonata)
    engine.jsonata = SimpleNamespace(Jsonata=SimpleNamespace(jsonata=parse_once), utils=jsonata.utils)
    sleep = lambda seconds: None if seconds == _START_PAUSE_S else time.sleep(seconds)  # noqa: E731
    engine.time = SimpleNamespace(**{**vars(time), "sleep": sleep})
    wrap(engine, "_find_matching_retrier", ("retriers", "error", "retry_counts"), with_delays)
    executions, finished = engine._executions, Finished(EXECUTIONS)  # noqa: SLF001
    wrap(engine, "_run_execution", ("exec_arn",), lambda run: finished.after(run, executions))

    def naming_execution(run: Callable[..., Any]) -> Callable[..., Any]:
        def run_task(state: Any, data: Any, execution: Any, context: Any) -> Any:
            with during(EXECUTION, execution):
                return run(state, data, execution, context)

        return run_task

    wrap(engine, "_execute_task", ("state_def", "raw_input", "execution", "ctx"), naming_execution)
    calls = engine._SERVICE_DISPATCH  # noqa: SLF001
    calls[PUT_EVENTS] = refusing(calls[PUT_EVENTS], engine._ExecutionError)  # noqa: SLF001
