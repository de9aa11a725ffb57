"""CloudFormation as on AWS: alarms on metric math, reserved concurrency, state machines that are checked.

ministack refuses the alarms, and with them the whole stack; localcloud.ministack.alarms evaluates them. It
ignores a function's reserved concurrency; here it throttles. It takes any state machine, and keeps the
template's spelling of its logging, which nothing else reads.
"""

from collections.abc import Callable
from typing import Any

from localcloud.ministack.definitions import refusal
from localcloud.ministack.errors import expect, wrap


def with_metric_math(record: Callable[[str, Any], dict[str, Any]]) -> Callable[[str, Any], dict[str, Any]]:
    """Return ministack's function that makes an alarm of its properties, which then may have metric math."""

    def with_queries(name: str, properties: dict[str, Any]) -> dict[str, Any]:
        if not (queries := properties.get("Metrics")):
            return record(name, properties)
        one = record(name, {**properties, "Metrics": None, "Namespace": "-", "MetricName": "-"})
        left_out = ("Namespace", "MetricName", "Statistic", "ExtendedStatistic", "Period", "Dimensions")
        return {key: value for key, value in one.items() if key not in left_out} | {"Metrics": queries}

    return with_queries


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


def lowered(value: Any) -> Any:
    """Return a value with the names in it as the API of Step Functions spells them."""
    if isinstance(value, list):
        return [lowered(one) for one in value]
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: lowered(one) for name, one in value.items()}
    return value


def checking(
    provision: Callable[..., Any], properties: int, definition: Callable[[Any], str]
) -> Callable[..., Any]:
    """Return a provisioner of state machines that refuses what CreateStateMachine refuses."""

    def check_and_provision(*args: Any, **kwargs: Any) -> Any:
        wanted = args[properties]
        settings = lowered(wanted.get("LoggingConfiguration") or {"Level": "OFF"})
        machine = {"definition": definition(wanted), "type": wanted.get("StateMachineType", "STANDARD")}
        if error := refusal({**machine, "loggingConfiguration": settings}):
            raise ValueError(": ".join(error))
        logged = {**wanted, "LoggingConfiguration": settings}
        return provision(*args[:properties], logged, *args[properties + 1 :], **kwargs)

    return check_and_provision


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import lambda_svc
    from ministack.services.cloudformation import provisioners

    wrap(provisioners, "_cw_metric_alarm_record", ("name", "props"), with_metric_math)
    tables = [one for one in vars(provisioners).values() if isinstance(one, dict)]
    repairs: dict[str, Callable[[Any, int], Any]] = {
        "AWS::Lambda::Function": lambda one, at: reserving(one, at, lambda: lambda_svc._functions),
        "AWS::StepFunctions::StateMachine": lambda one, at: checking(one, at, provisioners._sfn_definition),
    }
    for resource, repair in repairs.items():
        found = [one[resource] for one in tables if resource in one]
        handlers: Any = next(
            (one for one in found if isinstance(one, dict) and {"create", "update"} <= one.keys()), None
        )
        expect(handlers, f"CloudFormation provisions {resource} in another way")
        for name, properties in (("create", 1), ("update", 2)):
            handlers[name] = repair(handlers[name], properties)
