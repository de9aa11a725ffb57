"""What `scones doctor` asks AWS's own engines about a deployed stack; nothing is started or changed."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any, Final

from operations.checks import Check, UnansweredError, ask, ok, wrong
from operations.outcomes import DETAIL_TYPE, OUTCOMES, SOURCE
from operations.stack import Stack

_TIME: Final = "2026-01-01T00:00:00Z"
_STATES: Final = 40  # a walk of more never ends
# By role: what its code calls, by the resource that the template names.
_CALLS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "SerializeImageRole": {"photo": ("s3:GetObject", "s3:GetObjectVersion")},
    "ClassifyImageRole": {"endpoint": ("sagemaker:InvokeEndpoint",)},
    "ClassifyImageWorkflowRole": {
        "SerializeImageFunction": ("lambda:InvokeFunction",),
        "ClassifyImageFunction": ("lambda:InvokeFunction",),
        "FilterInferenceFunction": ("lambda:InvokeFunction",),
        "table": ("dynamodb:PutItem", "dynamodb:UpdateItem"),
        "bus": ("events:PutEvents",),
    },
    "PhotoUploadedRole": {"workflow": ("states:StartExecution",)},
    "ClassifyBatchWorkflowRole": {"express": ("states:StartSyncExecution",)},
}
_DENIED: Final = ("s3:DeleteObject", "dynamodb:DeleteItem", "iam:PassRole")  # to each of the roles, anywhere
_PHOTO: Final = {"s3_bucket": "photos", "s3_key": "incoming/proof.jpg", "version_id": "1"}
_ANSWERS: Final = {  # what the services of the workflow would answer
    "SerializeImage": {"Payload": _PHOTO | {"image_data": "", "inferences": []}},
    "ClassifyImage": {"Payload": _PHOTO | {"inferences": [0.9, 0.1], "model_version": "proof"}},
    "FilterInference": {"Payload": _PHOTO | {"label": "bicycle", "confidence": 0.9}},
    "PublishOutcome": {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]},
    "ReadFailure": [{}],
}
_ENDS: Final = (  # the state that fails, its error, and where the execution must end
    ("", "", "Accepted"),
    ("SerializeImage", "UnsupportedImage", "PhotoRejected"),
    ("ClassifyImage", "EndpointContractViolation", "ClassificationFailed"),
    ("FilterInference", "ThresholdConfidenceNotMet", "ConfidenceTooLow"),
)


def matches(session: Any, rule: Mapping[str, Any], detail: Any, *, upload: bool = False) -> bool:
    """Ask EventBridge whether a rule, as DescribeRule has it, matches an outcome's event, or an upload's."""
    event = {
        "id": "proof",
        "account": rule["Arn"].split(":")[4],
        "region": session.region_name,
        "time": _TIME,
        "resources": [],
        "source": "aws.s3" if upload else SOURCE,
        "detail-type": "Object Created" if upload else DETAIL_TYPE,
        "detail": detail,
    }
    parameters = {"EventPattern": rule.get("EventPattern", "{}"), "Event": json.dumps(event)}
    return bool(ask(session, "events", "TestEventPattern", **parameters)["Result"])


class Proofs:
    """The proofs of one deployed stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._outputs, self._ask = stack, stack.outputs, partial(ask, stack.session)

    @cached_property
    def _resources(self) -> dict[str, str]:
        """Physical names by those in the template."""
        found = {name: physical for name, (_, physical) in self._stack.resources.items()}
        if "ClassifyImageStateMachine" not in found:
            raise UnansweredError(f"the stack {self._stack.name} has no ClassifyImageStateMachine")
        return found

    def event_patterns(self) -> Iterator[Check]:
        """Ask EventBridge whether each rule matches the events that it must, and no other."""
        wrongly = []
        for name, detail, expected in self._events():
            rule = self._ask("events", "DescribeRule", Name=self._resources[name])
            if matches(self._stack.session, rule, detail, upload=name == "PhotoUploadedRule") is not expected:
                wrongly.append(f"{name} {'does not match' if expected else 'matches'} {json.dumps(detail)}")
        yield _proved("event patterns", "each rule matches its events, and no other", wrongly)

    def _events(self) -> Iterator[tuple[str, dict[str, Any], bool]]:
        bucket, machine = self._outputs["PhotoBucketName"], self._resources["ClassifyImageStateMachine"]
        for key, name, matched in (
            ("incoming/a.jpg", bucket, True), ("a.jpg", bucket, False), ("incoming/a.jpg", "other", False),
        ):  # fmt: skip
            yield "PhotoUploadedRule", {"bucket": {"name": name}, "object": {"key": key}}, matched
        execution = machine.replace(":stateMachine:", ":execution:") + ":proof"
        photo = {"object_uri": f"s3://{bucket}/incoming/a.jpg", "execution_arn": execution}
        for outcome in OUTCOMES:
            doubtful = outcome == "LOW_CONFIDENCE"
            yield "ReviewRule", photo | {"outcome": outcome}, doubtful
            yield "ReviewRule", photo | {"outcome": outcome, "reviewed": True}, False
            yield "OutcomeRule", photo | {"outcome": outcome}, True
            yield "OutcomeRule", photo | {"outcome": outcome, "execution_arn": "another"}, False

    def metric_filters(self) -> Iterator[Check]:
        """Ask CloudWatch Logs which metric each line of the outcomes' log counts for."""
        group = f"/aws/events/{self._stack.name}-outcomes"
        beside = {"outcome": "REJECTED", "cause": "beside photos: a folder"}
        lines = [({"source": SOURCE, "detail": {"outcome": outcome}}, {"Photos"}) for outcome in OUTCOMES]
        lines.append(({"source": SOURCE, "detail": beside}, {"Photos", "Companions"}))
        lines.append(({"source": "aws.states", "detail": {"status": "ABORTED"}}, {"PhotosWithoutOutcome"}))
        counted: list[set[str]] = [set() for _ in lines]
        filters = self._ask("logs", "DescribeMetricFilters", logGroupName=group)["metricFilters"]
        for one in filters:
            messages = [json.dumps(line) for line, _ in lines]
            pattern = {"filterPattern": one["filterPattern"], "logEventMessages": messages}
            for match in self._ask("logs", "TestMetricFilter", **pattern)["matches"]:
                counted[match["eventNumber"] - 1].add(one["metricTransformations"][0]["metricName"])
        wrongly = [
            f"{json.dumps(line)} counts for {', '.join(sorted(found)) or 'nothing'}"
            for (line, expected), found in zip(lines, counted, strict=True)
            if found != expected
        ]
        yield _proved("metric filters", f"{len(filters)} filters count {len(lines)} kinds of lines", wrongly)

    def workflow_states(self) -> Iterator[Check]:
        """Let Step Functions run the workflow state by state, with mocked results, to each of its ends."""
        machine = self._resources["ClassifyImageStateMachine"]
        described = self._ask("stepfunctions", "DescribeStateMachine", stateMachineArn=machine)
        wrongly = []
        for failing, error, end in _ENDS:
            states = self._walk(described["definition"], failing, error)
            if states[-1] != end:
                wrongly.append(f"{failing} with {error} ends in {states[-1]} instead of {end}".lstrip())
        yield _proved("workflow states", f"{len(_ENDS)} executions end as they should", wrongly)

    def _walk(self, definition: str, failing: str, error: str) -> list[str]:
        """Return the states of an execution in which one state fails, or none."""
        machine = json.loads(definition)
        states, value, variables = [machine["StartAt"]], json.dumps(_PHOTO), "{}"
        context = {"Id": "arn:aws:states:::execution:proof:1", "Name": "1", "StartTime": _TIME}
        while len(states) < _STATES:
            name = states[-1]
            request: dict[str, Any] = {"definition": definition, "stateName": name, "input": value}
            request |= {"variables": variables, "inspectionLevel": "DEBUG"}
            request["context"] = json.dumps({"Execution": context})
            if name == failing:
                request["mock"] = {"errorOutput": {"error": error, "cause": "{}"}}
            elif machine["States"][name]["Type"] in {"Task", "Parallel"}:
                result = json.dumps(_ANSWERS.get(name, {}))
                request["mock"] = {"result": result, "fieldValidationMode": "NONE"}
            answer = self._ask("stepfunctions", "TestState", **request)
            if "nextState" not in answer:
                break
            states.append(answer["nextState"])
            value = answer.get("output", "{}")
            if "variables" not in answer.get("inspectionData", {}):
                raise UnansweredError("this endpoint's TestState keeps no variables")
            variables = answer["inspectionData"]["variables"]
        return states

    def role_policies(self) -> Iterator[Check]:
        """Let IAM simulate every call that a role's code makes, and some that it must not make."""
        resources, wrongly, calls = self._arns(), [], 0
        for role, wanted in _CALLS.items():
            of_role = {"RoleName": self._resources[role]}
            names = self._ask("iam", "ListRolePolicies", **of_role)["PolicyNames"]
            found = [self._ask("iam", "GetRolePolicy", **of_role, PolicyName=name) for name in names]
            policies = [json.dumps(one["PolicyDocument"]) for one in found]
            cases = [(resources[name], actions, True) for name, actions in wanted.items()]
            for resource, actions, allowed in (*cases, ("*", _DENIED, False)):
                request = {"PolicyInputList": policies, "ActionNames": actions, "ResourceArns": [resource]}
                for one in self._ask("iam", "SimulateCustomPolicy", **request)["EvaluationResults"]:
                    calls, action, decision = calls + 1, one["EvalActionName"], one["EvalDecision"]
                    if (decision == "allowed") is not allowed:
                        wrongly.append(f"{role}: {action} on {resource} is {decision}")
        detail = f"IAM decides {calls} calls of {len(_CALLS)} roles as it should"
        yield _proved("role policies", detail, wrongly)

    def _arns(self) -> dict[str, str]:
        """Return the ARN of each resource that `_CALLS` names."""
        machine = self._resources["ClassifyImageStateMachine"]
        _, partition, _, region, account, *_ = machine.split(":")
        here = f"{region}:{account}"
        functions = [name for name in self._resources if name.endswith("Function")]
        return {
            "photo": f"arn:{partition}:s3:::{self._outputs['PhotoBucketName']}/incoming/a.jpg",
            "endpoint": f"arn:{partition}:sagemaker:{here}:endpoint/{self._outputs['EndpointName']}",
            "table": f"arn:{partition}:dynamodb:{here}:table/{self._outputs['ResultsTableName']}",
            "bus": f"arn:{partition}:events:{here}:event-bus/default",
            "workflow": machine,
            "express": self._resources["ClassifyImageExpressStateMachine"],
            **{name: f"arn:{partition}:lambda:{here}:function:{self._resources[name]}" for name in functions},
        }


def _proved(name: str, detail: str, wrongly: list[str]) -> Check:
    advice = "deploy the stack again; if that changes nothing, it is a bug"
    return wrong(name, "; ".join(wrongly), advice) if wrongly else ok(name, detail)
