"""Lambda workers are few; invocations beyond them wait, as for a new environment on AWS.

ministack starts a process for every invocation that finds no idle one: a burst of 150 photos started 201 of
them, 8 GB. Here a function has `WORKERS_A_FUNCTION` at most and the others wait for one; the account's
concurrency is AWS's default of 1,000. A function's reserved concurrency, which ministack's CloudFormation
ignores, throttles as on AWS, under the error name that Step Functions has for it.
"""

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from localcloud.ministack.errors import IncompatibleMinistackError

WORKERS_A_FUNCTION: Final = max(2, min(4, 2 * (os.cpu_count() or 1)))
"""Four functions then have 16 processes at most, about 50 MB each."""
THROTTLED: Final = "Lambda.TooManyRequestsException"
_WAIT_S: Final = 600  # far above a burst; a function that waits for itself must end some time

Execute = Callable[[dict[str, Any], Any, str], dict[str, Any]]


class Queue:
    """Lets a few invocations of each function run at a time, in the order in which they came."""

    def __init__(self, limit: int) -> None:
        self._slots: dict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(limit))
        self._lock = threading.Lock()

    def around(self, execute: Execute, throttled: Callable[[], dict[str, Any]]) -> Execute:
        """Return a function that waits before it executes.

        Args:
            execute: runs one invocation of a function record.
            throttled: returns the answer to an invocation that waited in vain.
        """

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


def reserving(
    provision: Callable[..., Any], properties: int, functions: Callable[[], Any]
) -> Callable[..., Any]:
    """Return a CloudFormation provisioner of functions that sets their reserved concurrency.

    Args:
        provision: creates or updates a function; returns its name first.
        properties: which of its arguments has the properties.
        functions: returns ministack's function records, by name.
    """

    def provision_and_reserve(*args: Any, **kwargs: Any) -> Any:
        result = provision(*args, **kwargs)
        reserved = args[properties].get("ReservedConcurrentExecutions")
        functions()[result[0]]["concurrency"] = None if reserved is None else int(reserved)
        return result

    return provision_and_reserve


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack.services import lambda_svc  # type: ignore[import-untyped]  # noqa: PLC0415
    from ministack.services.cloudformation import (  # type: ignore[import-untyped]  # noqa: PLC0415
        provisioners,
    )

    handlers = next(
        (one["AWS::Lambda::Function"] for one in vars(provisioners).values() if _provisions_functions(one)),
        None,
    )
    if handlers is None:
        raise IncompatibleMinistackError("CloudFormation provisions functions in another way")
    throttle = lambda_svc._throttle_response  # noqa: SLF001
    lambda_svc._throttle_response = lambda *args, **kwargs: named(throttle(*args, **kwargs))  # noqa: SLF001
    lambda_svc._execute_function_warm = Queue(WORKERS_A_FUNCTION).around(  # noqa: SLF001
        lambda_svc._execute_function_warm,  # noqa: SLF001
        lambda: lambda_svc._throttle_response(  # noqa: SLF001
            "ConcurrentInvocationLimitExceeded", f"no worker became free within {_WAIT_S} s"
        ),
    )
    handlers["create"] = reserving(handlers["create"], 1, lambda: lambda_svc._functions)  # noqa: SLF001
    handlers["update"] = reserving(handlers["update"], 2, lambda: lambda_svc._functions)  # noqa: SLF001


def _provisions_functions(value: Any) -> bool:
    handlers = value.get("AWS::Lambda::Function") if isinstance(value, dict) else None
    return (
        isinstance(handlers, dict) and callable(handlers.get("create")) and callable(handlers.get("update"))
    )
