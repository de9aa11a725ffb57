"""Starts a worker of each function when it is deployed: the first photo then waits for none.

On AWS the first photo does wait; here the deployment leaves the processors idle.
"""

import contextvars
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from localcloud.ministack.errors import wrap

_log = logging.getLogger(__name__)


def warming(
    deploy: Callable[..., Any], functions: Mapping[str, Any], start: Callable[[Mapping[str, Any]], None]
) -> Callable[..., Any]:
    """Return a deployment of a function's code that starts a worker of it beside the answer."""

    def deploy_and_warm(*args: Any) -> Any:
        answer = deploy(*args)
        name = args[0].get("FunctionName") if isinstance(args[0], dict) else args[0]
        if function := functions.get(str(name)):
            run = contextvars.copy_context().run  # of the account that asked
            threading.Thread(target=run, args=(_start, start, function), daemon=True).start()
        return answer

    return deploy_and_warm


def _start(start: Callable[[Mapping[str, Any]], None], function: Mapping[str, Any]) -> None:
    try:
        start(function)
    except Exception as error:  # noqa: BLE001 - the first invocation starts it again, and reports what is wrong
        _log.warning("a worker was not started before its first photo: %s", error)


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    def start(function: Mapping[str, Any]) -> None:
        config, code = function["config"], function.get("code_zip")
        if not code:
            return
        worker, _ = lambda_runtime.acquire_worker(config["FunctionName"], config, code)
        try:
            lambda_runtime.ensure_spawned(worker)
        finally:
            lambda_svc.release_worker(worker)

    def around(deploy: Callable[..., Any]) -> Callable[..., Any]:
        return warming(deploy, lambda_svc._functions, start)

    wrap(lambda_svc, "_create_function", ("data",), around)
    wrap(lambda_svc, "_update_code", ("name", "data"), around)
