"""What exists under an endpoint's name on AWS, and what it has had."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import boto3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from model_build.archive.prepare import place_of
from model_build.endpoint.aws import endpoint_log_group, explained, find_log_group, is_missing
from model_build.errors import RefusedError

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
    """An endpoint, what serves there as SageMaker describes it, and what else belongs to it.

    `configs` and `models` are names, oldest first, `labels` those of its tag; `logs_unknown` says why the log
    group could not be looked up.
    """

    endpoint_name: str
    endpoint: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    model: dict[str, Any] | None = None
    scaling: Scaling = Scaling()
    log_group: dict[str, Any] | None = None
    logs_unknown: str = ""
    configs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None

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


def look(session: boto3.Session, endpoint_name: str) -> Found:
    """Find what exists under an endpoint's name; a CloudError if AWS refuses.

    Logs, scaling and tags, which not everybody may look at, are unknown then.
    """
    sagemaker: Any = session.client("sagemaker")
    with explained(f"looking for endpoint {endpoint_name}"):
        endpoint, config, model = find_endpoint(session, endpoint_name), None, None
        if endpoint and (serving := endpoint.get("EndpointConfigName")):
            config = _or_none(sagemaker.describe_endpoint_config, EndpointConfigName=serving)
        if config:
            variant = config["ProductionVariants"][0]
            model = _or_none(sagemaker.describe_model, ModelName=variant["ModelName"])
        configs, models = (_names(sagemaker, kind, endpoint_name) for kind in ("EndpointConfig", "Model"))
    scaling, logs = _scaling(session, endpoint_name), _logs(session, endpoint_name)
    labels = _labels(sagemaker, endpoint)
    return Found(endpoint_name, endpoint, config, model, scaling, *logs, configs, models, labels)


def look_serving(session: boto3.Session, endpoint_name: str) -> Found:
    """Find what an endpoint in service runs and has run.

    A RefusedError if there is no such endpoint, it is not in service, or it was not made by `deploy`.
    """
    found = look(session, endpoint_name)
    if found.status != "InService":
        state = f"is {found.status}" if found.status else "does not exist"
        raise RefusedError(f"endpoint {endpoint_name} {state}: nothing serves there")
    if len((found.config or {}).get("ProductionVariants", ())) != 1 or not found.model_data_url:
        raise RefusedError(
            f"endpoint {endpoint_name} was not made by `model deploy`: it has several variants or "
            "containers, or no model archive"
        )
    return found


@dataclass(frozen=True)
class Deployment:
    """A configuration that an endpoint has had, and the model in it."""

    config: str
    model: str
    at: datetime


def history(session: boto3.Session, found: Found) -> list[Deployment]:
    """Return what was deployed to an endpoint, oldest first, by the configurations that `look` has found."""
    sagemaker: Any = session.client("sagemaker")
    with explained(f"looking up the versions of endpoint {found.endpoint_name}"):
        described = [sagemaker.describe_endpoint_config(EndpointConfigName=name) for name in found.configs]
    return [
        Deployment(one["EndpointConfigName"], one["ProductionVariants"][0]["ModelName"], one["CreationTime"])
        for one in described
    ]


def model_named(given: str, found: Found) -> str:
    """Return the endpoint's model of that name, or the only one whose name contains it."""
    named = [name for name in found.models if given in name]
    if given in named or len(named) == 1:
        return given if given in named else named[0]
    these = f"give one of {', '.join(named)}" if named else "`scones model list` names those that there are"
    raise RefusedError(f"endpoint {found.endpoint_name} has had no model {given!r}: {these}")


def previous_model(session: boto3.Session, found: Found) -> str:
    """Return the model that an endpoint had before the one that serves; a RefusedError if it had none."""
    serving, config = found.variant["ModelName"], (found.config or {})["EndpointConfigName"]
    before = [one.model for one in history(session, found) if one.config < config and one.model != serving]
    if not before:
        raise RefusedError(f"endpoint {found.endpoint_name} has had no other model before {serving}")
    return before[-1]


def read_facts(session: boto3.Session, url: str) -> dict[str, Any]:
    """Return what S3 keeps beside an archive; {} if nothing, as with those of earlier versions."""
    with explained(f"looking at {url}"):
        head = session.client("s3").head_object(**place_of(url))
    return dict(json.loads(head["Metadata"].get(FACTS, "{}")))


def find_endpoint(session: boto3.Session, name: str) -> dict[str, Any] | None:
    """Describe an endpoint; return None if there is none of that name."""
    return _or_none(session.client("sagemaker").describe_endpoint, EndpointName=name)


def version_name(endpoint_name: str) -> str:
    """Return a name for a new version: `<endpoint>-<UTC date>-<time>-<milliseconds>`."""
    now = datetime.now(UTC)
    return f"{endpoint_name}-{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"


def is_version_of(name: str, endpoint_name: str) -> bool:
    """Return whether `version_name` gives a name for this endpoint, not for one that begins alike."""
    return re.fullmatch(re.escape(endpoint_name) + r"-\d{8}-\d{6}-\d{3}", name) is not None


def _or_none(describe: Any, **name: str) -> dict[str, Any] | None:
    try:
        return dict(describe(**name))
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _names(sagemaker: Any, kind: str, endpoint_name: str) -> tuple[str, ...]:
    pages = sagemaker.get_paginator(f"list_{xform_name(kind)}s").paginate(NameContains=endpoint_name)
    names = (item[f"{kind}Name"] for page in pages for item in page[f"{kind}s"])
    return tuple(sorted(name for name in names if is_version_of(name, endpoint_name)))


def _labels(sagemaker: Any, endpoint: dict[str, Any] | None) -> tuple[str, ...] | None:
    with suppress(ClientError, BotoCoreError):
        tags = sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"] if endpoint else []
        return next((tuple(tag["Value"].split()) for tag in tags if tag["Key"] == LABELS_TAG), None)
    return None


def _logs(session: boto3.Session, endpoint_name: str) -> tuple[dict[str, Any] | None, str]:
    try:
        return find_log_group(session, endpoint_log_group(endpoint_name)), ""
    except (ClientError, BotoCoreError) as error:
        return None, aws_reason(error)


def _scaling(session: boto3.Session, endpoint_name: str) -> Scaling:
    resource = scaled_resource(endpoint_name)["ResourceId"]
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


def scaled_resource(endpoint_name: str) -> dict[str, str]:
    """Return how Application Auto Scaling addresses the endpoint's instances."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint_name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def only(fields: tuple[str, ...], description: Any) -> dict[str, Any]:
    """Return some members of a description, where it has them."""
    return {name: description[name] for name in fields if description.get(name) is not None}
