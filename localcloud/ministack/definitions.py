"""State machines are checked when they are made, as on AWS: ministack takes any text for a definition.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from localcloud.ministack.errors import wrap

_INTEGRATIONS: Final = {
    "dynamodb": {"getItem", "putItem", "updateItem", "deleteItem"},
    "events": {"putEvents"},
    "lambda": {"invoke"},
    "sns": {"publish"},
    "sqs": {"sendMessage"},
    "states": {"startExecution"},
}
"""Optimized integrations with all their actions; of other services, any action is taken."""
_REQUIRED: Final = {"Task": "Resource", "Choice": "Choices", "Parallel": "Branches"}
_LONGEST_LABEL: Final = 40

Machine = Mapping[str, Any]
Problem = dict[str, str]
Answer = tuple[int, dict[str, str], bytes]


def problems(text: str, kind: str) -> list[Problem]:
    """Return what AWS finds wrong with the definition of a machine that is STANDARD or EXPRESS."""
    try:
        machine = json.loads(text)
    except ValueError as error:
        return [_problem("/", str(error), "INVALID_JSON_DESCRIPTION")]
    return list(_in_machine(machine, kind, machine.get("QueryLanguage", "JSONPath"), ""))


def logging_problem(settings: Mapping[str, Any]) -> str:
    """Return what AWS finds wrong with a logging configuration."""
    wanted = settings.get("destinations") or settings.get("level", "OFF") != "OFF"
    return "Must specify exactly one Log Destination." * (
        bool(wanted) and len(settings.get("destinations") or []) != 1
    )


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
    if not (
        found := re.fullmatch(r"arn:[\w-]+:states:::(\w[\w-]*):(\w+)(\.sync|\.waitForTaskToken)?.*", resource)
    ):
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
    wrong = re.search(r"[\s?*<>{}\[\]:;,\\|^~$#%&`\"\x00-\x1f\x7f-\x9f]", label)
    return f"Label contains invalid character: {wrong[0]!r}" if wrong else ""


def refusal(machine: Machine) -> tuple[str, str] | None:
    """Return the name and text of the error that CreateStateMachine refuses its parameters with."""
    found = (
        problems(machine["definition"], machine.get("type", "STANDARD")) if "definition" in machine else []
    )
    if found:
        text = ", ".join(f"{one['code']}: {one['message']} at {one['location']}" for one in found)
        return "InvalidDefinition", f"Invalid State Machine Definition: '{text}'"
    if problem := logging_problem(machine.get("loggingConfiguration") or {}):
        return "InvalidLoggingConfiguration", f"Invalid Logging Configuration: {problem}"
    return None


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import stepfunctions as engine

    def checking(make: Callable[[Machine], Answer]) -> Callable[[Machine], Answer]:
        def check_and_make(data: Machine) -> Answer:
            known = engine._state_machines.get(data.get("stateMachineArn"), {})
            error = refusal({"type": known.get("type", "STANDARD"), **data})
            return engine.error_response_json(*error, 400) if error else make(data)

        return check_and_make

    def validate(data: Machine) -> Any:
        found = problems(data["definition"], data.get("type", "STANDARD"))
        result = "FAIL" if found else "OK"
        return engine.json_response({"result": result, "diagnostics": found, "truncated": False})

    wrap(engine, "_create_state_machine", ("data",), checking)
    wrap(engine, "_update_state_machine", ("data",), checking)
    wrap(engine, "_validate_state_machine_definition", ("data",), lambda _: validate)
