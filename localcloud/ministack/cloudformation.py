"""CloudFormation as on AWS: alarms on metric math, and functions with reserved concurrency.

ministack refuses the alarms, and with them the whole stack; here they are created and never fire. It ignores
a function's reserved concurrency; here it throttles.
"""

from collections.abc import Callable
from typing import Any

from localcloud.ministack.errors import expect, wrap


def without_metric_math(alarm: dict[str, Any]) -> dict[str, Any]:
    """Replace the metric math in an alarm's properties by a metric that never has data."""
    if not alarm.get("Metrics"):
        return alarm
    return {**alarm, "Metrics": None, "Namespace": "Scones/Local", "MetricName": "MetricMathIsNotEvaluated"}


def reserving(
    provision: Callable[..., Any], properties: int, functions: Callable[[], Any]
) -> Callable[..., Any]:
    """Return a CloudFormation provisioner of functions that sets their reserved concurrency.

    Its argument with the index `properties` has the function's properties; it returns the name first.
    """

    def provision_and_reserve(*args: Any, **kwargs: Any) -> Any:
        result = provision(*args, **kwargs)
        reserved = args[properties].get("ReservedConcurrentExecutions")
        functions()[result[0]]["concurrency"] = None if reserved is None else int(reserved)
        return result

    return provision_and_reserve


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import lambda_svc  # type: ignore[import-untyped]  # noqa: PLC0415
    from ministack.services.cloudformation import (  # type: ignore[import-untyped]  # noqa: PLC0415
        provisioners,
    )

    def without_math(record: Callable[..., Any]) -> Callable[..., Any]:
        return lambda name, alarm: record(name, without_metric_math(alarm))

    wrap(provisioners, "_cw_metric_alarm_record", ("name", "props"), without_math)
    tables = (one for one in vars(provisioners).values() if isinstance(one, dict))
    found = [one["AWS::Lambda::Function"] for one in tables if "AWS::Lambda::Function" in one]
    handlers: Any = next(
        (one for one in found if isinstance(one, dict) and {"create", "update"} <= one.keys()), None
    )
    expect(handlers, "CloudFormation provisions functions in another way")
    for name, properties in (("create", 1), ("update", 2)):
        handlers[name] = reserving(handlers[name], properties, lambda: lambda_svc._functions)  # noqa: SLF001
