"""An exception in a Lambda reaches the workflow under its class name.

ministack's Python worker drops the class, so that every error arrives as `Runtime.HandlerError` and no
Catch by name can match; it also ends the worker, so that the next invocation is a cold start. AWS
reports the class name as `errorType` and keeps the environment. The worker's script is changed to reply
with name and trace, and the function that runs workers to turn that reply into Lambda's error. A worker that
dies is `Runtime.ExitError`, as on AWS.
"""

from typing import Any

from localcloud.ministack.errors import IncompatibleMinistackError

RAISED = "scones.local/raised"
"""Key that marks a worker's reply as an exception; no handler returns it."""

_DROPS_THE_NAME = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
_KEEPS_THE_NAME = (
    '{"status": "ok", "result": {"' + RAISED + '": {"errorMessage": str(e), "errorType": type(e).__name__, '
    '"stackTrace": traceback.format_exc().splitlines()}}}'
)


def repair_script(script: str) -> str:
    """Change ministack's Python worker so that it replies with an exception's class name.

    Args:
        script: the worker's source.

    Raises:
        IncompatibleMinistackError: the place to change does not occur exactly once.
    """
    if script.count(_DROPS_THE_NAME) != 1:
        raise IncompatibleMinistackError("ministack's Lambda worker is another")
    return script.replace(_DROPS_THE_NAME, _KEEPS_THE_NAME)


DIED = ("Worker process died", "Worker returned no response", "Broken pipe")
"""What ministack says of a worker that ended before it replied."""


def as_lambda_error(result: dict[str, Any]) -> dict[str, Any]:
    """Turn a reply that `repair_script` makes, or a worker's death, into Lambda's error.

    Args:
        result: what ministack makes of the invocation.
    """
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


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    # Imported here: it takes a second, and the tests of the pure parts need none of it.
    from ministack.core import lambda_runtime  # type: ignore[import-untyped]  # noqa: PLC0415
    from ministack.services import lambda_svc  # type: ignore[import-untyped]  # noqa: PLC0415

    lambda_runtime._PYTHON_WORKER_SCRIPT = repair_script(lambda_runtime._PYTHON_WORKER_SCRIPT)  # noqa: SLF001
    execute = lambda_svc._execute_function_warm  # noqa: SLF001

    def execute_and_name_errors(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return as_lambda_error(execute(*args, **kwargs))

    lambda_svc._execute_function_warm = execute_and_name_errors  # noqa: SLF001
