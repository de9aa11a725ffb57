"""What every step needs of AWS: sessions, calls, the two stacks, and the containers' logs."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws import Session, aws_reason
from commandline.errors import UsageError
from commandline.polling import PollingTimeoutError, poll
from commandline.terminal import confirm, say, waiting_bar
from model_build.archive.container_images import registry
from model_build.archive.own_image import REPOSITORY
from model_build.archive.package import labels_in
from model_build.errors import CloudError, RefusedError

TEMPLATE: Final = Path(__file__).resolve().parents[1] / "role.yaml"
STACK_NAME: Final = "scones-model"
STACK_NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # also names its repository
APPLICATION: Final = "scones"
LABEL: Final = "[a-z0-9][a-z0-9_-]*"
CLASS_LABELS: Final = f"{LABEL}(,{LABEL})+"  # what the template's parameter ClassLabels accepts
LOGS_OF: Final = "/aws/sagemaker/Endpoints/"  # SageMaker adds the endpoint's name
ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/?[\w+=,.@/-]+")
BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class ApiCall:
    """One call to AWS; a dry run prints these fields."""

    service: str  # boto3's name
    operation: str  # of the API reference
    parameters: dict[str, Any] = field(default_factory=dict)

    def send(self, session: Session) -> dict[str, Any]:
        """Make the call and return its answer."""
        client: Any = session.client(self.service)  # type: ignore[call-overload]  # any service
        return dict(getattr(client, xform_name(self.operation))(**self.parameters))


def or_none(call: Callable[..., Any], **parameters: Any) -> dict[str, Any] | None:
    """Make a call and return its answer; None if AWS says that there is nothing of that name."""
    try:
        return dict(call(**parameters))
    except ClientError as error:  # SageMaker has no code for it
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"].lower()
        if code in {"ResourceNotFound", "ObjectNotFoundException", "NoSuchKey", "404"}:
            return None
        invalid = code in {"ValidationException", "ValidationError"}
        if invalid and ("could not find" in message or "does not exist" in message):
            return None
        raise


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn a refusal of AWS into a CloudError that says what was being done."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"{doing} failed: {aws_reason(error)}") from error


@dataclass(frozen=True)
class ModelStack:
    """What a model needs: its container's role, a bucket, the URI of the repository of the `own` image."""

    role_arn: str
    bucket: str
    repository: str
    exists: bool = True  # else it is still to be made, and the three are placeholders


def require_role_and_bucket(role_arn: str, bucket: str) -> None:
    """Refuse what is no role's ARN and no bucket's name."""
    if not ROLE_ARN.fullmatch(role_arn):
        raise RefusedError(
            f"--role-arn {role_arn!r} is not a role's ARN (arn:aws:iam::<account>:role/<name>); "
            "`scones model deploy` without it makes one, in the stack of model_build/role.yaml"
        )
    if not BUCKET_NAME.fullmatch(bucket):
        raise RefusedError(f"--bucket {bucket!r}: give a bucket's name, without s3:// and without a path")


def given_stack(role_arn: str, bucket: str, region: str) -> ModelStack:
    """Return a role and a bucket that the user names, with the repository that the account usually has."""
    require_role_and_bucket(role_arn, bucket)
    return ModelStack(role_arn, bucket, f"{registry(role_arn.split(':')[4], region)}/{REPOSITORY}")


def find_stack(session: Session, name: str) -> ModelStack:
    """Return the outputs of the model's stack, placeholders if there is none yet; refuse another stack."""
    stack = describe_stack(session, name)
    if stack is None or stack["StackStatus"] == "CREATE_IN_PROGRESS":
        return ModelStack(f"<RoleArn of {name}>", f"<BucketName of {name}>", "", exists=False)
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    try:
        return ModelStack(outputs["RoleArn"], outputs["BucketName"], outputs["ServingRepositoryUri"])
    except KeyError as error:
        raise RefusedError(
            f"the stack {name} is {stack['StackStatus']} and has no output {error}: delete it if its "
            "creation failed, or give another --stack-name"
        ) from error


def stack_call(name: str) -> ApiCall:
    """Return the call that makes the stack, without its template."""
    options = {"Capabilities": ["CAPABILITY_IAM"], "OnFailure": "DELETE"}
    return ApiCall("cloudformation", "CreateStack", {"StackName": name, **options})


def make_stack(session: Session, name: str, *, yes: bool) -> ModelStack:
    """Return the stack of role.yaml; if there is none, show what it creates, ask, and make it."""
    if not STACK_NAME_PATTERN.fullmatch(name):
        raise RefusedError(f"--stack-name {name!r}: give lower-case letters, digits and single hyphens")
    call, template = stack_call(name), TEMPLATE.read_text(encoding="utf-8")
    if describe_stack(session, name) is None:
        made = re.findall(r"^  (\w+):\n    Type: (AWS::\S+)", template, re.MULTILINE)
        say("\n".join(f"  {kind:24} {resource}" for resource, kind in made))
        if not yes:
            confirm(f"This creates the stack {name} in {session.region_name} with these resources")
        with explained(f"making the stack {name}"):
            replace(call, parameters={**call.parameters, "TemplateBody": template}).send(session)
    wait_for_stack(session, name)
    stack = find_stack(session, name)
    if not stack.exists:
        raise CloudError(f"the stack {name} could not be made: CloudFormation's events say why")
    return stack


def wait_for_stack(session: Session, name: str) -> str:
    """Wait until a stack changes no more, and return its status; a CloudError after a quarter of an hour."""
    with waiting_bar(f"stack {name}", 60.0) as progress:
        try:
            return poll(
                lambda: str((describe_stack(session, name) or {}).get("StackStatus")),
                until=lambda status: not status.endswith("_IN_PROGRESS"),
                timeout_seconds=900.0,
                waiting=progress,
            )
        except PollingTimeoutError as error:
            raise CloudError(f"the stack {name} is still {error.last}: run the command again") from error


def describe_stack(session: Session, name: str) -> dict[str, Any] | None:
    """Return CloudFormation's description of a stack, None if there is none; a CloudError if AWS refuses."""
    with explained(f"looking for the stack {name}"):
        found = or_none(session.client("cloudformation").describe_stacks, StackName=name)
    return found and dict(found["Stacks"][0])


@dataclass(frozen=True)
class Application:
    """A deployed application; `threshold` is what ConfidenceThreshold shall become, None: it stays."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None
    status: str = ""

    def changes(self, endpoint_name: str, manifest: Mapping[str, Any]) -> dict[str, str]:
        """Return the parameters that have to change for a model behind an endpoint, if it is this one's."""
        if self.parameters.get("EndpointName") != endpoint_name:
            return {}
        labels = labels_in(manifest)
        wanted = {"ClassLabels": class_labels(labels, "the model")} if labels else {}
        if self.threshold is not None:
            wanted["ConfidenceThreshold"] = f"{self.threshold:.6f}".rstrip("0").rstrip(".")
        changes = {name: value for name, value in wanted.items() if self.parameters.get(name) != value}
        if changes and not self.status.endswith("_COMPLETE"):
            raise RefusedError(f"the stack {self.name} is {self.status}: wait until it can change")
        return changes

    def advice(self, endpoint_name: str, manifest: Mapping[str, Any]) -> str:
        """Return that the model suggests another threshold than the stack has, if it does."""
        now, own = self.parameters.get("ConfidenceThreshold"), manifest.get("default_threshold")
        asked = self.threshold is not None or self.parameters.get("EndpointName") != endpoint_name
        if asked or not now or not isinstance(own, float) or own == float(now):
            return ""
        return f"{self.name} accepts from {now} on, the model suggests {own:g}: --threshold {own:g}"

    def update(self, changes: Mapping[str, str]) -> ApiCall:
        """Return the call that changes parameters, and leaves all else as it was deployed."""
        parameters: list[dict[str, Any]] = [
            {"ParameterKey": name}
            | ({"ParameterValue": changes[name]} if name in changes else {"UsePreviousValue": True})
            for name in self.parameters
        ]
        request = {"StackName": self.name, "UsePreviousTemplate": True, "Parameters": parameters}
        capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        return ApiCall("cloudformation", "UpdateStack", {**request, "Capabilities": capabilities})


def find_application(session: Session, stack_name: str, threshold: float | None) -> Application:
    """Look the application's stack up, which may not exist; a CloudError if AWS refuses."""
    stack = (describe_stack(session, stack_name) if stack_name else None) or {}
    parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in stack.get("Parameters", [])}
    return Application(stack_name, parameters, threshold, stack.get("StackStatus", ""))


def class_labels(labels: Sequence[str], model: str) -> str:
    """Return a model's labels as the stack's ClassLabels; a UsageError if they cannot be that."""
    if len(labels) == 1 or not all(re.fullmatch(LABEL, label) for label in labels):
        raise UsageError(
            f"the labels of {model} ({', '.join(labels)}) cannot be the stack's ClassLabels: it takes two or "
            "more labels of lower-case letters, digits, _ and -"
        )
    return ",".join(labels)


def find_log_group(session: Session, group: str) -> dict[str, Any] | None:
    """Return CloudWatch's description of a log group; None if there is none."""
    found = session.client("logs").describe_log_groups(logGroupNamePrefix=group, limit=50)["logGroups"]
    return next((dict(one) for one in found if one["logGroupName"] == group), None)


def retention_calls(group: str, found: dict[str, Any] | None) -> list[ApiCall]:
    """Return the calls after which a log group's entries expire; none if somebody chose a retention."""
    if found and found.get("retentionInDays"):
        return []
    # SageMaker creates its groups without: their logs are kept, and billed, forever.
    name = {"logGroupName": group}
    retain = ApiCall("logs", "PutRetentionPolicy", {**name, "retentionInDays": 30})
    return [retain] if found else [ApiCall("logs", "CreateLogGroup", name), retain]


def log_tail(session: Session, group: str, stream_prefix: str = "") -> str:
    """Return the end of a container's log, ready to be printed; without a prefix, of the latest stream."""
    latest: dict[str, Any] = {"orderBy": "LastEventTime", "descending": True}
    query: dict[str, Any] = {"logStreamNamePrefix": stream_prefix} if stream_prefix else latest
    try:
        logs = session.client("logs")
        for stream in logs.describe_log_streams(logGroupName=group, **query)["logStreams"]:
            name: Any = stream["logStreamName"]
            place = {"logGroupName": group, "logStreamName": name}
            events = logs.get_log_events(**place, limit=20, startFromHead=False)["events"]
            if events:
                lines = [f"  {event['message'].rstrip()}" for event in events]
                return "\n".join([f"end of the container's log ({group}, {name}):", *lines])
    except (ClientError, BotoCoreError) as error:  # must not hide the failure that it should explain
        return f"the container's log ({group}) can't be read: {aws_reason(error)}"
    return f"the container wrote no log ({group})"
