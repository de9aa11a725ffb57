"""Run ministack with three repairs; the workflow or its template depends on each.

An exception in a Lambda reaches the workflow under its class name. ministack's Python worker drops the class,
so that every error arrives as `Runtime.HandlerError` and no Catch by name can match; it also ends the worker,
so that the next invocation is a cold start. AWS reports the class name as `errorType` and keeps the
environment. The worker's script is changed to reply with name and trace, and the function that runs workers
to turn that reply into Lambda's error.

S3's events carry the object's version. ministack knows it and leaves it out of what it sends to EventBridge;
results are recorded by version.

CloudFormation creates alarms on metric math. ministack refuses them, and with them the whole stack; here they
are created and never fire.

If the installed ministack does not fit the repairs, this refuses to start: it would behave differently from
AWS.
"""

import inspect
import json
import sys
from contextvars import ContextVar
from typing import Any

from localcloud.parent import end_with_parent

RAISED = "scones.local/raised"
"""Key that marks a worker's reply as an exception; no handler returns it."""

_DROPS_THE_NAME = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
_KEEPS_THE_NAME = (
    '{"status": "ok", "result": {"' + RAISED + '": {"errorMessage": str(e), "errorType": type(e).__name__, '
    '"stackTrace": traceback.format_exc().splitlines()}}}'
)


class IncompatibleMinistackError(RuntimeError):
    """The installed ministack is not the one that the repair was made for."""


def repair_script(script: str) -> str:
    """Change ministack's Python worker so that it replies with an exception's class name.

    Args:
        script: the worker's source.

    Raises:
        IncompatibleMinistackError: the place to change does not occur exactly once.
    """
    if script.count(_DROPS_THE_NAME) != 1:
        raise IncompatibleMinistackError(
            "ministack's Lambda worker is not the one that localcloud/ministack_launcher.py repairs: install "
            "the version in requirements/run.txt, or adapt the repair"
        )
    return script.replace(_DROPS_THE_NAME, _KEEPS_THE_NAME)


def as_lambda_error(result: dict[str, Any]) -> dict[str, Any]:
    """Turn the reply that `repair_script` makes into ministack's form of a function error."""
    body = result.get("body")
    if not isinstance(body, dict) or RAISED not in body:
        return result
    raised = body[RAISED]
    log = "\n".join(filter(None, [result.get("log", ""), *raised["stackTrace"]]))
    return {"body": raised, "error": True, "log": log}


def with_version(event: dict[str, Any], version_id: str) -> dict[str, Any]:
    """Return an event of S3 with the object's version, as AWS sends it for a bucket with versions."""
    detail = json.loads(event["Detail"])
    detail["object"]["version-id"] = version_id
    return {**event, "Detail": json.dumps(detail)}


def repair() -> None:
    """Apply the repairs to the imported ministack.

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
    _repair_s3_events()
    _accept_alarms_on_metric_math()


def _repair_s3_events() -> None:
    from ministack.services import eventbridge, s3  # noqa: PLC0415

    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event  # noqa: SLF001
    if "version_id" not in inspect.signature(fire).parameters:
        raise IncompatibleMinistackError("ministack's S3 events no longer know the object's version")
    version: ContextVar[str | None] = ContextVar("version", default=None)

    def fire_and_remember_version(*args: Any, **kwargs: Any) -> None:
        token = version.set(kwargs.get("version_id"))
        try:
            fire(*args, **kwargs)
        finally:
            version.reset(token)

    def dispatch_with_version(event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        known = version.get() if event.get("Source") == "aws.s3" else None
        return dispatch(with_version(event, known) if known else event, *args, **kwargs)

    s3._fire_s3_event = fire_and_remember_version  # noqa: SLF001
    eventbridge._dispatch_event = dispatch_with_version  # noqa: SLF001


def without_metric_math(alarm: dict[str, Any]) -> dict[str, Any]:
    """Replace an alarm's metric math, which CloudFormation refuses here, by a metric that never has data.

    Args:
        alarm: properties of an AWS::CloudWatch::Alarm.
    """
    if not alarm.get("Metrics"):
        return alarm
    return {**alarm, "Metrics": None, "Namespace": "Scones/Local", "MetricName": "MetricMathIsNotEvaluated"}


def _accept_alarms_on_metric_math() -> None:
    from ministack.services.cloudformation import (  # type: ignore[import-untyped]  # noqa: PLC0415
        provisioners,
    )

    record = provisioners._cw_metric_alarm_record  # noqa: SLF001
    provisioners._cw_metric_alarm_record = lambda name, alarm: record(  # noqa: SLF001
        name, without_metric_math(alarm)
    )


def main() -> None:
    """Repair ministack and run it in this process until it is told to stop."""
    end_with_parent()
    repair()
    from ministack import app  # type: ignore[import-untyped]  # noqa: PLC0415

    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
