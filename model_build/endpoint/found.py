"""What exists under an endpoint's name on AWS, and what it has had."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws import Session, aws_reason
from model_build.archive.prepare import place_of
from model_build.endpoint.aws import LOGS_OF, explained, find_log_group, or_none
from model_build.errors import RefusedError

SCALED: Final = "endpoint/{}/variant/AllTraffic"  # how Application Auto Scaling names the instances
LABELS_TAG: Final = "scones:labels"
FACTS: Final = "scones-model"  # metadata of an archive in S3: JSON of its labels, threshold and figures
_TARGET_FIELDS: Final = ("ServiceNamespace", "ResourceId", "ScalableDimension", "MinCapacity", "MaxCapacity")
_POLICY_FIELDS: Final = (
    "PolicyName", "ServiceNamespace", "ResourceId", "ScalableDimension", "PolicyType",
    "StepScalingPolicyConfiguration", "TargetTrackingScalingPolicyConfiguration",
)  # fmt: skip


@dataclass(frozen=True)
class Scaling:
    """Targets and policies as Application Auto Scaling takes them; `unknown`: why they can't be read."""

    targets: tuple[dict[str, Any], ...] = ()
    policies: tuple[dict[str, Any], ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Found:
    """An endpoint, what serves there as SageMaker describes it, and what else belongs to it."""

    endpoint_name: str
    endpoint: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    model: dict[str, Any] | None = None
    scaling: Scaling = Scaling()
    log_group: dict[str, Any] | None = None
    logs_unknown: str = ""  # why the log group could not be looked up
    configs: tuple[str, ...] = ()  # names, oldest first
    models: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None  # of its tag

    @property
    def status(self) -> str | None:
        """SageMaker's word for the endpoint's state; None when there is no endpoint."""
        return self.endpoint["EndpointStatus"] if self.endpoint else None

    @property
    def variant(self) -> dict[str, Any]:
        """The production variant that serves, as its configuration has it; empty when nothing does."""
        return dict(self.config["ProductionVariants"][0]) if self.config else {}

    @property
    def model_data_url(self) -> str:
        """The `s3://` URI of the archive that serves; empty when nothing does."""
        return str((self.model or {}).get("PrimaryContainer", {}).get("ModelDataUrl", ""))

    @property
    def empty(self) -> bool:
        """Whether nothing exists, logs apart."""
        return not (self.endpoint or self.configs or self.models or self.scaling.targets)


def look(session: Session, endpoint_name: str) -> Found:
    """Find what exists under an endpoint's name, apart from logs, scaling and tags that AWS will not show."""
    sagemaker: Any = session.client("sagemaker")
    config, model, labels, group, logs_unknown = None, None, None, None, ""
    with explained(f"looking for endpoint {endpoint_name}"):
        endpoint = or_none(sagemaker.describe_endpoint, EndpointName=endpoint_name)
        if endpoint and (serving := endpoint.get("EndpointConfigName")):
            config = or_none(sagemaker.describe_endpoint_config, EndpointConfigName=serving)
        if config:
            model = or_none(sagemaker.describe_model, ModelName=config["ProductionVariants"][0]["ModelName"])
        configs, models = (_versions(sagemaker, kind, endpoint_name) for kind in ("EndpointConfig", "Model"))
    if endpoint:
        with suppress(ClientError, BotoCoreError):
            tags = sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]
            labels = next((tuple(tag["Value"].split()) for tag in tags if tag["Key"] == LABELS_TAG), None)
    try:
        group = find_log_group(session, LOGS_OF + endpoint_name)
    except (ClientError, BotoCoreError) as error:
        logs_unknown = aws_reason(error)
    scaling = _scaling(session, endpoint_name)
    parts = (endpoint, config, model, scaling, group, logs_unknown, configs, models, labels)
    return Found(endpoint_name, *parts)


def look_serving(session: Session, endpoint_name: str) -> Found:
    """Find what an endpoint runs and has run; a RefusedError if it is not in service, or not of `deploy`."""
    found = look(session, endpoint_name)
    if found.status != "InService":
        state = f"is {found.status}" if found.status else "does not exist"
        raise RefusedError(f"endpoint {endpoint_name} {state}: nothing serves there")
    if len((found.config or {}).get("ProductionVariants", ())) != 1 or not found.model_data_url:
        raise RefusedError(f"endpoint {endpoint_name} was not made by `model deploy`")
    return found


def history(session: Session, found: Found) -> list[tuple[str, str, datetime]]:
    """Return what was deployed to an endpoint, oldest first: configuration, model and time."""
    sagemaker: Any = session.client("sagemaker")
    with explained(f"looking up the versions of endpoint {found.endpoint_name}"):
        described = [sagemaker.describe_endpoint_config(EndpointConfigName=name) for name in found.configs]
    return [
        (one["EndpointConfigName"], one["ProductionVariants"][0]["ModelName"], one["CreationTime"])
        for one in described
    ]


def model_named(given: str, found: Found) -> str:
    """Return the endpoint's model of that name, or the only one whose name contains it."""
    named = [name for name in found.models if given in name]
    if given in named or len(named) == 1:
        return given if given in named else named[0]
    these = f"give one of {', '.join(named)}" if named else "`scones model list` names those that there are"
    raise RefusedError(f"endpoint {found.endpoint_name} has had no model {given!r}: {these}")


def previous_model(session: Session, found: Found) -> str:
    """Return the model that an endpoint had before the one that serves; a RefusedError if it had none."""
    serving, config = found.variant["ModelName"], (found.config or {})["EndpointConfigName"]
    before = [model for name, model, _ in history(session, found) if name < config and model != serving]
    if not before:
        raise RefusedError(f"endpoint {found.endpoint_name} has had no other model before {serving}")
    return before[-1]


def read_facts(session: Session, url: str) -> dict[str, Any]:
    """Return what S3 keeps beside an archive; {} if nothing, as with those of earlier versions."""
    with explained(f"looking at {url}"):
        head = session.client("s3").head_object(**place_of(url))
    return dict(json.loads(head["Metadata"].get(FACTS, "{}")))


def version_name(endpoint_name: str) -> str:
    """Return a name for a new version: `<endpoint>-<UTC date>-<time>-<milliseconds>`."""
    now = datetime.now(UTC)
    return f"{endpoint_name}-{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"


def _versions(sagemaker: Any, kind: str, endpoint_name: str) -> tuple[str, ...]:
    """Return the names that `version_name` gave, but not to an endpoint whose name begins alike."""
    pages = sagemaker.get_paginator(f"list_{xform_name(kind)}s").paginate(NameContains=endpoint_name)
    names = (item[f"{kind}Name"] for page in pages for item in page[f"{kind}s"])
    pattern = re.compile(re.escape(endpoint_name) + r"-\d{8}-\d{6}-\d{3}")
    return tuple(sorted(filter(pattern.fullmatch, names)))


def _scaling(session: Session, endpoint_name: str) -> Scaling:
    resource = SCALED.format(endpoint_name)
    client = session.client("application-autoscaling")
    try:
        targets = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])
        policies = client.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)
    except (ClientError, BotoCoreError) as error:
        return Scaling(unknown=str(error))
    return Scaling(
        tuple(only(_TARGET_FIELDS, target) for target in targets["ScalableTargets"]),
        tuple(only(_POLICY_FIELDS, policy) for policy in policies["ScalingPolicies"]),
    )


def only(fields: tuple[str, ...], description: Any) -> dict[str, Any]:
    """Return some members of a description, where it has them."""
    return {name: description[name] for name in fields if description.get(name) is not None}
