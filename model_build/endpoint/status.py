"""What exists on SageMaker under an endpoint's name, its state, and what it costs an hour."""

from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from model_build.endpoint.aws import new_session
from model_build.endpoint.inventory import Inventory, take_inventory
from model_build.endpoint.prices import instance_prices
from model_build.errors import CloudError


@dataclass(frozen=True)
class EndpointStatus:
    """An endpoint's state. `model_build status --json` prints these fields.

    Attributes:
        endpoint_name: its name.
        status: SageMaker's word; None: there is no endpoint.
        failure_reason: why it failed; None when it did not.
        serving: the version that serves.
        instance_type: of a real-time endpoint.
        instances: how many run; 0 for a serverless endpoint.
        serverless_memory_mb: of a serverless endpoint.
        capture: whether requests and responses are captured.
        scaling: the least and the greatest number of instances; None when the number is fixed.
        scaling_unknown: why the scaling could not be read; None when it could.
        labels: the labels of the model that serves; None if they are not known.
        log_group: the log group of its containers; None if there is none.
        usd_an_hour: its cost while idle; None when the price of the instance type is not known.
        versions: names of its endpoint configurations, oldest first.
        models: names of its models, oldest first.
    """

    endpoint_name: str
    status: str | None
    failure_reason: str | None
    serving: str | None
    instance_type: str | None
    instances: int
    serverless_memory_mb: int | None
    capture: bool
    scaling: tuple[int, int] | None
    scaling_unknown: str | None
    labels: tuple[str, ...] | None
    log_group: str | None
    usd_an_hour: float | None
    versions: tuple[str, ...]
    models: tuple[str, ...]


def endpoint_status(endpoint_name: str, *, session: boto3.Session | None = None) -> EndpointStatus:
    """Return what there is of an endpoint.

    Args:
        endpoint_name: which.
        session: account and region; None takes the standard environment and configuration.

    Raises:
        CloudError: AWS refused a call.
    """
    try:
        return _status(take_inventory(session or new_session(), endpoint_name))
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"looking for endpoint {endpoint_name} failed: {aws_reason(error)}") from error


def _status(inventory: Inventory) -> EndpointStatus:
    endpoint, variant = inventory.endpoint or {}, inventory.variant or {}
    running = (endpoint.get("ProductionVariants") or [{}])[0]
    instances = running.get("CurrentInstanceCount", variant.get("InitialInstanceCount", 0))
    return EndpointStatus(
        endpoint_name=inventory.endpoint_name,
        status=endpoint.get("EndpointStatus"),
        failure_reason=endpoint.get("FailureReason"),
        serving=endpoint.get("EndpointConfigName"),
        instance_type=variant.get("InstanceType"),
        instances=instances,
        serverless_memory_mb=variant.get("ServerlessConfig", {}).get("MemorySizeInMB"),
        capture=bool((endpoint.get("DataCaptureConfig") or {}).get("EnableCapture")),
        scaling=inventory.scaling.bounds,
        scaling_unknown=inventory.scaling.unknown or None,
        labels=inventory.labels,
        log_group=inventory.log_group,
        usd_an_hour=_usd_an_hour(inventory, instances),
        versions=inventory.configs,
        models=inventory.models,
    )


def _usd_an_hour(inventory: Inventory, instances: int) -> float | None:
    if inventory.endpoint is None:
        return 0.0  # models and configurations cost nothing
    if inventory.variant is None:
        return None
    return idle_usd_an_hour(inventory.variant, instances)


def idle_usd_an_hour(variant: dict[str, Any], instances: int) -> float | None:
    """Return what an endpoint costs an hour without any request, in US dollars.

    Args:
        variant: its production variant, as DescribeEndpointConfig gives it.
        instances: how many instances run.

    Returns:
        0.0 for a serverless endpoint; None when the price of the instance type is not known.
    """
    if "ServerlessConfig" in variant:
        return 0.0
    price = instance_prices().prices.get(variant["InstanceType"])
    return None if price is None else price.usd * instances
