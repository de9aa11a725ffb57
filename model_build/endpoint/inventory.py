"""What exists on SageMaker under an endpoint's name: the endpoint, and every version deployed to it."""

from dataclasses import dataclass
from typing import Any

import boto3

from model_build.endpoint.aws import find_endpoint
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
    """

    endpoint_name: str
    endpoint: dict[str, Any] | None
    variant: dict[str, Any] | None
    configs: tuple[str, ...]
    models: tuple[str, ...]
    scaling: Scaling

    @property
    def empty(self) -> bool:
        """Whether nothing at all exists."""
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
    )
