"""Interpret the workflow's definition with tasks that the test supplies: every path, in milliseconds.

Implements the part of the Amazon States Language (https://states-language.net) that the workflow uses: Pass,
Choice, Wait, Task, Parallel, Succeed, Fail; Catch, Assign, Output and Arguments in JSONata. Retry is not
interpreted: a task's result is the one after its retries. Time is virtual: a Wait state advances a clock.

Expressions are as strict as on AWS and stricter than plain JSONata: one without a result is an error, and
`$number` takes JSON numbers only. What a Task or Parallel state evaluates can be caught, as on AWS; what a
Pass, Choice or Wait state evaluates cannot, and ends the execution without an outcome.
"""

import functools
import json
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any

import jsonata  # type: ignore[import-untyped]

from tests.support.sam_app import definition, load_function

CONTEXT = {
    "Execution": {
        "Id": "arn:aws:states:us-east-1:111122223333:execution:classify-image:0f0f",
        "Name": "0f0f",
        "StartTime": "2026-11-12T00:00:00.000Z",
    }
}
# https://github.com/jsonata-js/jsonata/blob/v2.0.6/src/functions.js, function number
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([Ee][-+]?[0-9]+)?")


class TaskError(Exception):
    """A task failed for good: `name` and `cause` as Step Functions reports them."""

    def __init__(self, name: str, cause: str = "") -> None:
        super().__init__(f"{name}: {cause}")
        self.name, self.cause = name, cause


class QueryEvaluationError(Exception):
    """An expression failed or had no result: on AWS a Pass or Choice state ends the execution, uncaught."""


@dataclass
class Ending:
    """How an execution ended: its path, each task's last arguments and number of calls, and virtual time."""

    status: str
    output: Any = None
    error: str | None = None
    cause: str | None = None
    visited: list[str] = field(default_factory=list)
    calls: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    payloads: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0


@dataclass
class Clock:
    """Virtual time in seconds, and the random numbers of `$random`."""

    now: float = 0
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - jitter, not secrets


_CLOCK: ContextVar[Clock] = ContextVar("clock")  # of the expression that is being evaluated


@functools.cache
def _parsed(expression: str) -> Any:
    """Parse an expression, wrapped in an object: a missing result then leaves no key, and null stays null."""
    parsed = jsonata.Jsonata(f"{{'result': ({expression})}}")
    parsed.register_lambda("parse", json.loads)
    parsed.register_lambda("number", _number)
    parsed.register_lambda("millis", lambda: _CLOCK.get().now * 1000)
    parsed.register_lambda("random", _random)
    return parsed


def _random() -> float:
    return _CLOCK.get().random.random()


def _number(value: Any) -> float:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError(f"D3030: Unable to cast value to a number: {value!r}")
    return float(value)


class Execution:
    """One execution; `ending` is the path so far, complete when `run` returns."""

    def __init__(
        self, definition: dict[str, Any], task: Callable[[str, Any], Any], clock: Clock | None = None
    ) -> None:
        """Take the substituted definition, and what returns a task's result for state name and arguments."""
        self._definition, self._task = definition, task
        self._clock = clock or Clock()
        self._started = self._clock.now
        self.variables: dict[str, Any] = {}
        self.ending = Ending("RUNNING")

    def run(self, data: Any) -> Ending:
        """Run to the end, from the execution's input; tasks take no time."""
        state, output = self._machine(self._definition, data)
        self.ending.seconds = self._clock.now - self._started
        if state["Type"] != "Fail":
            self.ending.status, self.ending.output = "SUCCEEDED", output
        else:
            self.ending.status = "FAILED"
            why = self._evaluate([state["Error"], state["Cause"]], {"input": output})
            self.ending.error, self.ending.cause = why
        return self.ending

    def _machine(self, definition: dict[str, Any], data: Any) -> tuple[dict[str, Any], Any]:
        """Run the states of the workflow or of a branch; return the last one and its output."""
        name = definition["StartAt"]
        while True:
            state = definition["States"][name]
            self.ending.visited.append(name)
            self.ending.payloads[name] = data
            if state["Type"] in {"Succeed", "Fail"}:
                return state, data
            try:
                transition, states = self.execute(name, state, data)
                data = self.leave(transition, states)
            except (TaskError, QueryEvaluationError) as error:
                transition, data = self.catch(state, data, error)
            if state.get("End"):
                return state, data
            name = transition["Next"]

    def execute(self, name: str, state: dict[str, Any], data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Execute one state; return the transition (with its Next, Output and Assign) and `$states`."""
        states: dict[str, Any] = {"input": data, "result": data}
        if state["Type"] == "Choice":
            for choice in state["Choices"]:
                if self._evaluate(choice["Condition"], states):
                    return choice, states
            return {"Next": state["Default"]}, states
        if state["Type"] == "Wait":
            seconds = self._evaluate(state["Seconds"], states)
            assert seconds >= 0
            assert seconds == int(seconds), "Seconds must be an integer"
            self._clock.now += seconds
        elif state["Type"] == "Task":
            arguments = self._evaluate(state["Arguments"], states)
            self.ending.calls[name] = arguments
            self.ending.counts[name] = self.ending.counts.get(name, 0) + 1
            states["result"] = self._task(name, arguments)
        elif state["Type"] == "Parallel":
            states["result"] = []
            outer = dict(self.variables)
            for branch in state["Branches"]:
                states["result"].append(self._machine(branch, data)[1])
                self.variables = dict(outer)  # a branch's variables end with it
        return state, states

    def leave(self, transition: dict[str, Any], states: dict[str, Any]) -> Any:
        """Evaluate Output and Assign, both with the variables as they were; return the output."""
        output = self._evaluate(transition["Output"], states) if "Output" in transition else states["result"]
        self.variables |= self._evaluate(transition.get("Assign", {}), states)
        return output

    def catch(
        self, state: dict[str, Any], data: Any, error: TaskError | QueryEvaluationError
    ) -> tuple[dict[str, Any], Any]:
        """Return the transition of the catcher that matches, and its output; raise if none does."""
        name = error.name if isinstance(error, TaskError) else "States.QueryEvaluationError"
        cause = error.cause if isinstance(error, TaskError) else str(error)
        for catcher in state.get("Catch", []):
            if {name, "States.ALL"} & set(catcher["ErrorEquals"]):
                output = {"Error": name, "Cause": cause}
                states = {"input": data, "result": output, "errorOutput": output}
                return catcher, self.leave(catcher, states)
        raise error

    def _evaluate(self, template: Any, states: dict[str, Any]) -> Any:
        """Evaluate every `{% expression %}` of a template, at any depth, or raise QueryEvaluationError."""
        if isinstance(template, dict):
            return {key: self._evaluate(value, states) for key, value in template.items()}
        if isinstance(template, list):
            return [self._evaluate(value, states) for value in template]
        if not (isinstance(template, str) and template.startswith("{%") and template.endswith("%}")):
            return template
        expression, null = template[2:-2].strip(), jsonata.utils.Utils.NULL_VALUE
        bindings = {name: null if value is None else value for name, value in self.variables.items()}
        token = _CLOCK.set(self._clock)
        try:
            bindings["states"] = {**states, "context": CONTEXT}
            answer = _parsed(expression).evaluate(None, bindings)
        except Exception as exc:
            raise QueryEvaluationError(f"{expression}: {exc}") from exc
        finally:
            _CLOCK.reset(token)
        if "result" not in answer:
            raise QueryEvaluationError(f"{expression}: no result")
        return answer["result"]


REFERENCE = {"s3_bucket": "scones-photos", "s3_key": "incoming/samples/bicycle.jpg"}
FILTER_INFERENCE = load_function("filter_inference")
MODEL_VERSION = "scones-vehicle-classifier-20261112"
SERIALIZED = {**REFERENCE, "version_id": "v7", "etag": "e7", "image_data": "aW1hZ2U=", "inferences": []}
SERIALIZED["content_type"] = "image/png"


def failure(name: str, message: str = "why") -> TaskError:
    """Return an error as Lambda reports it to a workflow."""
    return TaskError(name, json.dumps({"errorMessage": message, "errorType": name, "stackTrace": ["…"]}))


def walk(  # noqa: PLR0913 - one parameter for each thing that a test varies
    start: Any = REFERENCE,
    inferences: tuple[float, float] = (0.97, 0.03),
    failing: dict[str, TaskError] | None = None,
    serialized: dict[str, Any] = SERIALIZED,
    workflow: dict[str, Any] | None = None,
    *,
    replaced: dict[str, Any] | None = None,
    answered: dict[str, Any] | None = None,
) -> Ending:
    """Run the workflow; FilterInference is the real one, the other tasks answer or fail as asked."""

    def task(name: str, arguments: Any) -> Any:
        if failing and name in failing:
            raise failing[name]
        if name == "SerializeImage":
            reference = {k: v for k, v in arguments["Payload"].items() if k in serialized}
            return {"Payload": {**serialized, **reference}}
        if name == "ClassifyImage":
            payload = {k: v for k, v in arguments["Payload"].items() if k != "image_data"}
            answer = {"inferences": list(inferences), "model_version": MODEL_VERSION, **(answered or {})}
            return {"Payload": payload | answer}
        if name == "FilterInference":
            return {"Payload": invoke(FILTER_INFERENCE.app.lambda_handler, arguments["Payload"])}
        if name == "RecordOutcome":
            return {"Attributes": replaced} if replaced else {}
        return {"FailedEntryCount": 0}

    return Execution(workflow or definition(), task).run(start)


def invoke(handler: Callable[[Any, Any], Any], payload: Any) -> Any:
    """Call a handler as Lambda does: JSON in, JSON out, errors under their class names."""
    try:
        return json.loads(json.dumps(handler(json.loads(json.dumps(payload)), None)))
    except Exception as exc:
        raise failure(type(exc).__name__, str(exc)) from exc


def recorded(ending: Ending) -> dict[str, Any]:
    """Return the item that was written to the results table, without DynamoDB's types."""
    call = ending.calls["RecordOutcome"]
    assert call["TableName"] == "ResultsTable"
    plain: dict[str, Any] = {}
    for name, value in call["Item"].items():
        if name == "undelivered":
            continue
        ((kind, content),) = value.items()
        assert isinstance(content, str), name
        plain[name] = float(content) if kind == "N" else content
        assert kind in {"N", "S"}
    return plain


def published(ending: Ending) -> dict[str, Any]:
    (entry,) = ending.calls["PublishOutcome"]["Entries"]
    assert entry["Source"] == "scones.vehicle-classification"
    assert entry["DetailType"] == "Vehicle Classified"
    detail: dict[str, Any] = entry["Detail"]
    return detail


ENDINGS: dict[str, Any] = {
    "FAILED": {"failing": {"ClassifyImage": failure("EndpointContractViolation")}},
    "REJECTED": {"failing": {"SerializeImage": failure("UnsupportedImage")}},
    "LOW_CONFIDENCE": {"inferences": (0.5, 0.5)},
    "ACCEPTED": {},
}


def also_failing(outcome: str, state: str, error: str) -> dict[str, Any]:
    """Return the arguments of a walk to an outcome in which another state fails."""
    failing = {**ENDINGS[outcome].get("failing", {}), state: TaskError(error, "no service")}
    return {**ENDINGS[outcome], "failing": failing}
