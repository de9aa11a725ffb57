"""Interpret the workflow's definition with tasks that the test supplies: every path, in milliseconds.

Implements the part of the Amazon States Language (https://states-language.net) that the workflow uses: Pass,
Choice, Task with Catch, Succeed, Fail; Assign, Output and Arguments in JSONata. Retry is not interpreted: a
task's result is the one after its retries. As on AWS, and unlike plain JSONata, an expression without a
result is an error.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jsonata  # type: ignore[import-untyped]

CONTEXT = {
    "Execution": {
        "Id": "arn:aws:states:us-east-1:111122223333:execution:classify-image:0f0f",
        "StartTime": "2026-11-12T00:00:00.000Z",
    }
}


class TaskError(Exception):
    """A task failed for good: `name` and `cause` as Step Functions reports them."""

    def __init__(self, name: str, cause: str = "") -> None:
        super().__init__(f"{name}: {cause}")
        self.name, self.cause = name, cause


class QueryEvaluationError(Exception):
    """An expression failed or had no result: on AWS a Pass or Choice state ends the execution, uncaught."""


@dataclass
class Ending:
    """How an execution ended, and the states and calls on its path."""

    status: str
    output: Any = None
    error: str | None = None
    cause: str | None = None
    visited: list[str] = field(default_factory=list)
    calls: dict[str, Any] = field(default_factory=dict)
    payloads: dict[str, Any] = field(default_factory=dict)


def evaluate(template: Any, variables: dict[str, Any], states: dict[str, Any]) -> Any:
    """Evaluate every `{% expression %}` of a template, at any depth.

    Raises:
        QueryEvaluationError: an expression fails or has no result.
    """
    if isinstance(template, dict):
        return {key: evaluate(value, variables, states) for key, value in template.items()}
    if isinstance(template, list):
        return [evaluate(value, variables, states) for value in template]
    if not (isinstance(template, str) and template.startswith("{%") and template.endswith("%}")):
        return template
    expression = template[2:-2].strip()
    null = jsonata.utils.Utils.NULL_VALUE
    bindings = {name: null if value is None else value for name, value in variables.items()}
    try:
        # Wrapped in an object, so that a missing result leaves no key and null stays null.
        parsed = jsonata.Jsonata(f"{{'result': ({expression})}}")
        parsed.register_lambda("parse", json.loads)
        answer = parsed.evaluate(None, {**bindings, "states": {**states, "context": CONTEXT}})
    except Exception as exc:
        raise QueryEvaluationError(f"{expression}: {exc}") from exc
    if "result" not in answer:
        raise QueryEvaluationError(f"{expression}: no result")
    return answer["result"]


class Execution:
    """One execution.

    Attributes:
        ending: the path so far; complete when `run` returns.
    """

    def __init__(self, definition: dict[str, Any], task: Callable[[str, Any], Any]) -> None:
        """Take the substituted definition, and what returns a task's result for state name and arguments."""
        self._definition, self._task = definition, task
        self._variables: dict[str, Any] = {}
        self.ending = Ending("RUNNING")

    def run(self, data: Any) -> Ending:
        """Run to the end, from the execution's input."""
        name = self._definition["StartAt"]
        while True:
            state = self._definition["States"][name]
            self.ending.visited.append(name)
            self.ending.payloads[name] = data
            if state["Type"] in {"Succeed", "Fail"}:
                return self._end(state, data)
            way, states = self._execute(name, state, data)
            output = evaluate(way["Output"], self._variables, states) if "Output" in way else states["result"]
            self._variables |= evaluate(way.get("Assign", {}), self._variables, states)
            name, data = way["Next"], output

    def _execute(self, name: str, state: dict[str, Any], data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Execute one state; return the transition (with its Next, Output and Assign) and `$states`."""
        states: dict[str, Any] = {"input": data, "result": data}
        if state["Type"] == "Choice":
            for choice in state["Choices"]:
                if evaluate(choice["Condition"], self._variables, states):
                    return choice, states
            return {"Next": state["Default"]}, states
        if state["Type"] == "Pass":
            return state, states
        arguments = evaluate(state["Arguments"], self._variables, states)
        self.ending.calls[name] = arguments
        try:
            return state, {"input": data, "result": self._task(name, arguments)}
        except TaskError as error:
            for catcher in state["Catch"]:
                if {error.name, "States.ALL"} & set(catcher["ErrorEquals"]):
                    output = {"Error": error.name, "Cause": error.cause}
                    return catcher, {"input": data, "result": output, "errorOutput": output}
            raise

    def _end(self, state: dict[str, Any], data: Any) -> Ending:
        if state["Type"] == "Succeed":
            self.ending.status, self.ending.output = "SUCCEEDED", data
        else:
            self.ending.status = "FAILED"
            self.ending.error = evaluate(state["Error"], self._variables, {"input": data})
            self.ending.cause = evaluate(state["Cause"], self._variables, {"input": data})
        return self.ending
