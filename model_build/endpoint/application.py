"""The application's stack, as far as it has to fit the model: its endpoint, its labels, its threshold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import boto3

from commandline.errors import UsageError
from model_build.archive.package import labels_in
from model_build.endpoint.aws import ApiCall, describe_stack, settled_stack
from model_build.errors import CloudError

STACK_NAME: Final = "scones"
LABEL: Final = "[a-z0-9][a-z0-9_-]*"
CLASS_LABELS: Final = f"{LABEL}(,{LABEL})+"
"""What the template's parameter ClassLabels accepts."""


@dataclass(frozen=True)
class Application:
    """A deployed application; `threshold` is what ConfidenceThreshold shall become, None: it stays."""

    stack_name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None

    def changes(self, endpoint_name: str, manifest: Mapping[str, Any]) -> dict[str, str]:
        """Return the parameters that have to change for a model behind an endpoint.

        Raises:
            UsageError: the labels cannot be a stack's ClassLabels.
        """
        if self.parameters.get("EndpointName") != endpoint_name:
            return {}
        labels = labels_in(manifest)
        wanted = {"ClassLabels": class_labels(labels, "the model")} if labels else {}
        if self.threshold is not None:
            wanted["ConfidenceThreshold"] = f"{self.threshold:.6f}".rstrip("0").rstrip(".")
        return {name: value for name, value in wanted.items() if self.parameters.get(name) != value}

    def advice(self, endpoint_name: str, manifest: Mapping[str, Any]) -> str:
        """Return that the model has another threshold than the stack, if it has; empty otherwise."""
        now, own = self.parameters.get("ConfidenceThreshold"), manifest.get("default_threshold")
        asked = self.threshold is not None or self.parameters.get("EndpointName") != endpoint_name
        if asked or not now or not isinstance(own, float) or own == float(now):
            return ""
        return f"{self.stack_name} accepts from {now} on, the model suggests {own:g}: --threshold {own:g}"

    def describe(self, changes: Mapping[str, str]) -> str:
        """Return what a change is, for the person who is asked."""
        parts = [f"{name} from {self.parameters.get(name)} to {value}" for name, value in changes.items()]
        return f"This changes {' and '.join(parts)} in the stack {self.stack_name}"

    def update(self, changes: Mapping[str, str]) -> ApiCall:
        """Return the call that changes the parameters, and leaves all else as it was deployed."""
        parameters: list[dict[str, Any]] = [
            {"ParameterKey": name, **({"ParameterValue": changes[name]} if name in changes else _PREVIOUS)}
            for name in self.parameters
        ]
        request = {"StackName": self.stack_name, "UsePreviousTemplate": True, "Parameters": parameters}
        capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        return ApiCall("cloudformation", "UpdateStack", {**request, "Capabilities": capabilities})

    def wait(self, session: boto3.Session) -> None:
        """Wait until the change is made.

        Raises:
            CloudError: CloudFormation took it back.
        """
        status = settled_stack(session, self.stack_name)
        if status != "UPDATE_COMPLETE":
            raise CloudError(f"the stack {self.stack_name} is {status}: CloudFormation's events say why")


_PREVIOUS: Final = {"UsePreviousValue": True}


def find_application(session: boto3.Session, stack_name: str, threshold: float | None) -> Application:
    """Look the application's stack up; without parameters if there is none.

    Raises:
        CloudError: AWS refused the call.
    """
    stack = (describe_stack(session, stack_name) if stack_name else None) or {}
    parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in stack.get("Parameters", [])}
    return Application(stack_name, parameters, threshold)


def class_labels(labels: Sequence[str], model: str) -> str:
    """Return a model's labels as the stack's ClassLabels.

    Raises:
        UsageError: they cannot be.
    """
    if len(labels) == 1 or not all(re.fullmatch(LABEL, label) for label in labels):
        raise UsageError(
            f"the labels of {model} ({', '.join(labels)}) cannot be the stack's ClassLabels: it takes two or "
            "more labels of lower-case letters, digits, _ and -"
        )
    return ",".join(labels)
