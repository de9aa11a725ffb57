"""What exists on SageMaker under an endpoint's name: the endpoint, and every version deployed to it."""

from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from model_build.endpoint.aws import find_endpoint
from model_build.endpoint.labels import read_tag
from model_build.endpoint.logs import endpoint_log_group, find_log_group
from model_build.endpoint.scaling import Scaling, read_scaling
from model_build.endpoint.versions import is_version_of


@dataclass(frozen=True)
class Inventory:
    """Everything that belongs to an endpoint.

    Attributes:
        endpoint_name: its name.
        endpoint: DescribeEndpoint's answer; None when there is no endpoint.
        variant: the first production variant of the configuration that serves; None when nothing does.
        configs: names of its endpoint configurations, oldest first.
        models: names of its models, oldest first.
        scaling: its auto scaling.
        labels: the labels that its tag names; None if it has none.
        log_group: the log group of its containers; None if there is none, or it can't be looked up.
    """

    endpoint_name: str
    endpoint: dict[str, Any] | None
    variant: dict[str, Any] | None
    configs: tuple[str, ...]
    models: tuple[str, ...]
    scaling: Scaling
    labels: tuple[str, ...] | None = None
    log_group: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing exists, logs apart."""
        return not (self.endpoint or self.configs or self.models or self.scaling.targets)


def take_inventory(session: boto3.Session, endpoint_name: str) -> Inventory:
    """Find everything of an endpoint's name.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
    """
    sagemaker = session.client("sagemaker")
    endpoint = find_endpoint(session, endpoint_name)
    configs = [
        config["EndpointConfigName"]
        for page in sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=endpoint_name)
        for config in page["EndpointConfigs"]
    ]
    models = [
        model["ModelName"]
        for page in sagemaker.get_paginator("list_models").paginate(NameContains=endpoint_name)
        for model in page["Models"]
    ]
    variant = None
    if endpoint is not None and endpoint.get("EndpointConfigName") in configs:
        serving = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        variant = dict(serving["ProductionVariants"][0])
    return Inventory(
        endpoint_name=endpoint_name,
        endpoint=endpoint,
        variant=variant,
        configs=tuple(sorted(name for name in configs if is_version_of(name, endpoint_name))),
        models=tuple(sorted(name for name in models if is_version_of(name, endpoint_name))),
        scaling=read_scaling(session, endpoint_name),
        labels=None if endpoint is None else read_tag(session, endpoint["EndpointArn"]),
        log_group=_log_group(session, endpoint_name),
    )


def _log_group(session: boto3.Session, endpoint_name: str) -> str | None:
    group = endpoint_log_group(endpoint_name)
    try:
        return group if find_log_group(session, group) else None
    except (ClientError, BotoCoreError):  # not everybody may look at logs
        return None
