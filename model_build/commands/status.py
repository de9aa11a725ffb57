"""`model_build status`."""

import json
from typing import Any

import click

from commandline.options import json_option
from commandline.terminal import plural
from model_build.endpoint.aws import explained, new_session
from model_build.endpoint.found import Found, look
from model_build.endpoint.prices import HOURS_A_MONTH, instance_prices
from model_build.endpoint.wanted import DEFAULT_ENDPOINT


@click.command()
@click.option("--endpoint-name", default=DEFAULT_ENDPOINT, help="The endpoint.")
@json_option
def command(endpoint_name: str, *, as_json: bool) -> None:
    r"""Show what exists of a SageMaker endpoint, its state and its cost.

    Exits with 0 also when nothing exists.

    \b
    Example:
      scones model status --endpoint-name scones-vehicle-classifier
    """
    with explained(f"looking for endpoint {endpoint_name}"):
        found = facts(look(new_session(), endpoint_name, everything=True))
    print(json.dumps(found) if as_json else as_text(found))


def facts(found: Found) -> dict[str, Any]:
    """Return the status as --json prints it."""
    endpoint, targets = found.endpoint or {}, found.scaling.targets
    running = (endpoint.get("ProductionVariants") or [{}])[0]
    instances = running.get("CurrentInstanceCount", found.variant.get("InitialInstanceCount", 0))
    return {
        "endpoint_name": found.endpoint_name,
        "status": found.status,
        "failure_reason": endpoint.get("FailureReason"),
        "serving": found.variant.get("ModelName"),
        "instance_type": found.variant.get("InstanceType"),
        "instances": instances,
        "serverless_memory_mb": found.variant.get("ServerlessConfig", {}).get("MemorySizeInMB"),
        "capture": bool((endpoint.get("DataCaptureConfig") or {}).get("EnableCapture")),
        "scaling": (targets[0]["MinCapacity"], targets[0]["MaxCapacity"]) if targets else None,
        "scaling_unknown": found.scaling.unknown or None,
        "labels": found.labels,
        "log_group": found.log_group and found.log_group["logGroupName"],
        "usd_an_hour": idle_usd_an_hour(found, instances),
        "versions": found.configs,
        "models": found.models,
    }


def idle_usd_an_hour(found: Found, instances: int) -> float | None:
    """Return the cost without any request in US dollars; None when the instance type's price is not known."""
    if found.endpoint is None or "ServerlessConfig" in found.variant:
        return 0.0  # models and configurations cost nothing
    price = instance_prices().prices.get(found.variant.get("InstanceType", ""))
    return None if price is None else price.usd * instances


def as_text(found: dict[str, Any]) -> str:
    """Return the status as lines for a person."""
    if found["status"] is None:
        return f"endpoint {found['endpoint_name']} does not exist{_left_over(found)}"
    lines = [
        f"endpoint {found['endpoint_name']}: {found['status']}",
        f"  serves      {found['serving']}",
        f"  runs on     {_runs_on(found)}",
        f"  capture     {'on' if found['capture'] else 'off'}",
        f"  versions    {len(found['versions'])}",
        f"  labels      {', '.join(found['labels'] or ()) or 'unknown'}",
        f"  logs        {found['log_group'] or 'none'}",
        f"  costs       {_costs(found)}",
    ]
    if found["failure_reason"]:
        lines.insert(1, f"  reason      {found['failure_reason']}")
    return "\n".join(lines)


def _left_over(found: dict[str, Any]) -> str:
    left = []
    if found["versions"] or found["models"]:
        left.append(plural(len(found["versions"]), "endpoint configuration"))
        left.append(plural(len(found["models"]), "model"))
    if found["log_group"]:
        left.append(f"the log group {found['log_group']}")
    return f"; left over: {', '.join(left)} (`model_build delete` deletes them)" if left else ""


def _runs_on(found: dict[str, Any]) -> str:
    if found["serverless_memory_mb"]:
        return f"serverless, {found['serverless_memory_mb']} MB"
    text = f"{found['instances']} x {found['instance_type']}"
    if found["scaling"]:
        text += f" (scales from {found['scaling'][0]} to {found['scaling'][1]})"
    elif found["scaling_unknown"]:
        text += f" (auto scaling can't be read: {found['scaling_unknown']})"
    return text


def _costs(found: dict[str, Any]) -> str:
    prices = instance_prices()
    note = f"{prices.region}, list prices of {prices.date}"
    if found["serverless_memory_mb"]:
        return f"nothing while idle ({note})"
    if found["usd_an_hour"] is None:
        return f"unknown: prices.json has no price for {found['instance_type']}"
    month = found["usd_an_hour"] * HOURS_A_MONTH
    return f"${found['usd_an_hour']:.3f} an hour, ${month:.2f} a month ({note})"
