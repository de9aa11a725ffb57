"""What is deployed is checked and kept as on AWS: state machines, alarms on metric math, concurrency.

ministack takes any text for a definition, refuses a whole stack for an alarm on metric math (which
localcloud.ministack.cloudwatch evaluates), and ignores a function's reserved concurrency.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from ministack.services import lambda_svc
from ministack.services import stepfunctions as engine
from ministack.services.cloudformation import provisioners

from localcloud.ministack.repairs import Repairs, expect

REPAIRS: Final = Repairs()
_INTEGRATIONS: Final = {
    "dynamodb": {"getItem", "putItem", "updateItem", "deleteItem"},
    "events": {"putEvents"},
    "lambda": {"invoke"},
    "sns": {"publish"},
    "sqs": {"sendMessage"},
    "states": {"startExecution"},
}
"""Optimized integrations with all their actions; of other services, any action is taken."""
_RESOURCE: Final = re.compile(r"arn:[\w-]+:states:::(\w[\w-]*):(\w+)(\.sync|\.waitForTaskToken)?.*")
_REQUIRED: Final = {"Task": "Resource", "Choice": "Choices", "Parallel": "Branches"}
_LONGEST_LABEL: Final = 40
_NOT_IN_LABELS: Final = re.compile(r"[\s?*<>{}\[\]:;,\\|^~$#%&`\"\x00-\x1f\x7f-\x9f]")

Machine = Mapping[str, Any]
Problem = dict[str, str]


def problems(text: str, kind: str) -> list[Problem]:
    """Return what AWS finds wrong with the definition of a machine that is STANDARD or EXPRESS."""
    try:
        machine = json.loads(text)
    except ValueError as error:
        return [_problem("/", str(error), "INVALID_JSON_DESCRIPTION")]
    return list(_in_machine(machine, kind, machine.get("QueryLanguage", "JSONPath"), ""))


def _problem(location: str, message: str, code: str = "SCHEMA_VALIDATION_FAILED") -> Problem:
    return {"severity": "ERROR", "code": code, "message": message, "location": location}


def _in_machine(machine: Machine, kind: str, language: str, path: str) -> Iterator[Problem]:
    missing = [name for name in ("StartAt", "States") if name not in machine]
    if missing:
        yield _problem(path or "/", f"These fields are required: [{', '.join(missing)}]")
        return
    targets = {f"{path}/StartAt": machine["StartAt"]}
    for name, state in machine["States"].items():
        place = f"{path}/States/{name}"
        yield from _in_state(state, kind, language, place)
        rules = [(rule, one) for rule in ("Catch", "Choices") for one in enumerate(state.get(rule, []))]
        targets |= {f"{place}/{rule}/{number}/Next": one.get("Next") for rule, (number, one) in rules}
        targets |= {f"{place}/{field}": state[field] for field in ("Next", "Default") if field in state}
    for place, target in targets.items():
        if target not in machine["States"]:
            yield _problem(place, f"Missing 'Next' target: {target}", "MISSING_TRANSITION_TARGET")


def _in_state(state: Machine, kind: str, language: str, path: str) -> Iterator[Problem]:
    required = _REQUIRED.get(state.get("Type", ""), "Type")
    if required not in state:
        yield _problem(path, f"These fields are required: [{required}]")
    if language == "JSONata" and state.get("QueryLanguage") == "JSONPath":
        message = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
        yield _problem(path, message)
    if message := _wrong_resource(str(state.get("Resource", "")), kind):
        yield _problem(f"{path}/Resource", message)
    if "Label" in state and (message := _wrong_label(str(state["Label"]))):
        yield _problem(f"{path}/Label", message)
    inner = {f"Branches/{number}": one for number, one in enumerate(state.get("Branches", []))}
    inner |= {name: state[name] for name in ("ItemProcessor", "Iterator") if name in state}
    for name, machine in inner.items():
        children = machine.get("ProcessorConfig", {}).get("ExecutionType", kind)
        yield from _in_machine(machine, children, language, f"{path}/{name}")


def _wrong_resource(resource: str, kind: str) -> str:
    if not (found := _RESOURCE.fullmatch(resource)):
        return ""
    service, action, pattern = found.groups()
    if action not in _INTEGRATIONS.get(service, {action}):
        return (
            f"The resource provided {resource} is not recognized. The value is not a valid resource ARN, "
            "or the resource is not available in this region."
        )
    if kind == "EXPRESS" and pattern:
        return f"Express state machine does not support '{pattern}' service integration"
    return ""


def _wrong_label(label: str) -> str:
    if not label:
        return "Label cannot be empty"
    if len(label) > _LONGEST_LABEL:
        return f"Label cannot exceed {_LONGEST_LABEL} characters"
    wrong = _NOT_IN_LABELS.search(label)
    return f"Label contains invalid character: {wrong[0]!r}" if wrong else ""


def refusal(machine: Machine) -> tuple[str, str] | None:
    """Return the name and text of the error that CreateStateMachine refuses its parameters with."""
    found = (
        problems(machine["definition"], machine.get("type", "STANDARD")) if "definition" in machine else []
    )
    if found:
        text = ", ".join(f"{one['code']}: {one['message']} at {one['location']}" for one in found)
        return "InvalidDefinition", f"Invalid State Machine Definition: '{text}'"
    logs = machine.get("loggingConfiguration") or {}
    destinations = len(logs.get("destinations") or [])
    if destinations > 1 or (destinations == 0 and logs.get("level", "OFF") != "OFF"):
        text = "Invalid Logging Configuration: Must specify exactly one Log Destination."
        return "InvalidLoggingConfiguration", text
    return None


@REPAIRS.around(engine, "_create_state_machine", "data")
@REPAIRS.around(engine, "_update_state_machine", "data")
def _check_and_make(make: Callable[[Machine], Any], data: Machine) -> Any:
    known = engine._state_machines.get(data.get("stateMachineArn"), {})
    error = refusal({"type": known.get("type", "STANDARD"), **data})
    return engine.error_response_json(*error, 400) if error else make(data)


@REPAIRS.instead(engine, "_validate_state_machine_definition", "data")
def _validate(data: Machine) -> Any:
    found = problems(data["definition"], data.get("type", "STANDARD"))
    result = "FAIL" if found else "OK"
    return engine.json_response({"result": result, "diagnostics": found, "truncated": False})


@REPAIRS.around(provisioners, "_cw_metric_alarm_record", "name", "props")
def alarm_record(
    original: Callable[[str, Any], dict[str, Any]], name: str, props: dict[str, Any]
) -> dict[str, Any]:
    """Return an alarm as ministack keeps it; it may have metric math."""
    if not (queries := props.get("Metrics")):
        return original(name, props)
    one = original(name, {**props, "Metrics": None, "Namespace": "-", "MetricName": "-"})
    left_out = ("Namespace", "MetricName", "Statistic", "ExtendedStatistic", "Period", "Dimensions")
    return {key: value for key, value in one.items() if key not in left_out} | {"Metrics": queries}


def reserve(provision: Callable[..., Any], properties: int, *args: Any, **kwargs: Any) -> Any:
    """Make a function with its reserved concurrency; its properties are the argument of that index."""
    result = provision(*args, **kwargs)
    reserved = args[properties].get("ReservedConcurrentExecutions")
    lambda_svc._functions[result[0]]["concurrency"] = None if reserved is None else int(reserved)
    return result


def _lowered(value: Any) -> Any:
    """Return a value with the names in it as the API of Step Functions spells them."""
    if isinstance(value, list):
        return [_lowered(one) for one in value]
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: _lowered(one) for name, one in value.items()}
    return value


def _check_and_provision(provision: Callable[..., Any], properties: int, *args: Any, **kwargs: Any) -> Any:
    """Make a state machine unless CreateStateMachine would refuse it."""
    wanted = args[properties]
    logs = _lowered(wanted.get("LoggingConfiguration") or {"Level": "OFF"})
    definition = provisioners._sfn_definition(wanted)
    machine = {"definition": definition, "type": wanted.get("StateMachineType", "STANDARD")}
    if error := refusal({**machine, "loggingConfiguration": logs}):
        raise ValueError(": ".join(error))
    logged = {**wanted, "LoggingConfiguration": logs}
    return provision(*args[:properties], logged, *args[properties + 1 :], **kwargs)


@REPAIRS.step
def _provision() -> None:
    tables = [one for one in vars(provisioners).values() if isinstance(one, dict)]
    repairs = {"AWS::Lambda::Function": reserve, "AWS::StepFunctions::StateMachine": _check_and_provision}
    for resource, repair in repairs.items():
        found = (one[resource] for one in tables if isinstance(one.get(resource), dict))
        handlers: Any = next((one for one in found if {"create", "update"} <= one.keys()), None)
        expect(handlers, f"CloudFormation provisions {resource} in another way")
        for name, properties in (("create", 1), ("update", 2)):
            handlers[name] = partial(repair, handlers[name], properties)
