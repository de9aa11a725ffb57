"""Shows what exists on SageMaker under an endpoint's name, how it is, and what it costs an hour."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from model_build.endpoint.cost import endpoint_cost_an_hour, prices
from model_build.endpoint.inventory import Inventory, take_inventory
from model_build.errors import CloudError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run", "status"]


def status(endpoint_name: str, *, session: boto3.Session | None = None) -> dict[str, Any]:
    """Tells what there is of an endpoint.

    Args:
        endpoint_name: which.
        session: whose account and region; None takes the standard environment and configuration.

    Returns:
        `endpoint_name`, `status` (None: no endpoint), `failure_reason`, `serving` (a version),
        `instance_type`, `instances`, `serverless_memory_mb`, `capture`, `scaling` (`[min, max]` instances or
        None), `scaling_unknown` (why it could not be read, or None), `usd_an_hour` (None: the price is not
        known), `versions` and `models` (names, oldest first).

    Raises:
        CloudError: AWS refused a call.
    """
    session = session or boto3.Session()
    try:
        return _facts(take_inventory(session, endpoint_name))
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"looking for {endpoint_name} failed: {error}") from error


def _facts(inventory: Inventory) -> dict[str, Any]:
    endpoint, variant = inventory.endpoint or {}, inventory.variant or {}
    running = (endpoint.get("ProductionVariants") or [{}])[0]
    instances = running.get("CurrentInstanceCount", variant.get("InitialInstanceCount", 0))
    targets = inventory.scaling.targets
    return {
        "endpoint_name": inventory.endpoint_name,
        "status": endpoint.get("EndpointStatus"),
        "failure_reason": endpoint.get("FailureReason"),
        "serving": endpoint.get("EndpointConfigName"),
        "instance_type": variant.get("InstanceType"),
        "instances": instances,
        "serverless_memory_mb": variant.get("ServerlessConfig", {}).get("MemorySizeInMB"),
        "capture": bool((endpoint.get("DataCaptureConfig") or {}).get("EnableCapture")),
        "scaling": [targets[0]["MinCapacity"], targets[0]["MaxCapacity"]] if targets else None,
        "scaling_unknown": inventory.scaling.unknown or None,
        "usd_an_hour": _usd_an_hour(inventory, instances),
        "versions": inventory.configs,
        "models": inventory.models,
    }


def _usd_an_hour(inventory: Inventory, instances: int) -> float | None:
    if inventory.endpoint is None:
        return 0.0  # models and configurations cost nothing
    if inventory.variant is None:
        return None
    return endpoint_cost_an_hour(inventory.variant, instances)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `model_build status`."""
    parser.add_argument("--endpoint-name", required=True, help="whose state to show")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `model_build status`: 0 also when nothing exists."""
    facts = status(args.endpoint_name)
    print(json.dumps(facts) if args.json else _as_text(facts))
    return 0


def _as_text(facts: dict[str, Any]) -> str:
    name, versions = facts["endpoint_name"], facts["versions"]
    if facts["status"] is None:
        kept = (
            f"; {len(versions)} configuration(s) and {len(facts['models'])} model(s) are left"
            if versions
            else ""
        )
        return f"no endpoint {name} exists{kept}"
    lines = [
        f"endpoint {name}: {facts['status']}",
        f"  serves      {facts['serving']}",
        f"  runs on     {_runs_on(facts)}",
        f"  capture     {'on' if facts['capture'] else 'off'}",
        f"  versions    {len(versions)}",
        f"  costs       {_costs(facts)}",
    ]
    if facts["failure_reason"]:
        lines.insert(1, f"  reason      {facts['failure_reason']}")
    return "\n".join(lines)


def _runs_on(facts: dict[str, Any]) -> str:
    if facts["serverless_memory_mb"]:
        return f"serverless, {facts['serverless_memory_mb']} MB"
    text = f"{facts['instances']} x {facts['instance_type']}"
    if facts["scaling"]:
        text += " (scales from {} to {})".format(*facts["scaling"])
    elif facts["scaling_unknown"]:
        text += f" (auto scaling can't be read: {facts['scaling_unknown']})"
    return text


def _costs(facts: dict[str, Any]) -> str:
    table = prices()
    note = f"{table['region']}, list prices of {table['date']}"
    if facts["serverless_memory_mb"]:
        return f"nothing while idle ({note})"
    if facts["usd_an_hour"] is None:
        return f"unknown: prices.json has no price for {facts['instance_type']}"
    return f"${facts['usd_an_hour']:.3f} an hour, ${facts['usd_an_hour'] * 730:.2f} a month ({note})"
