"""`model_build status`."""

import json
from dataclasses import asdict

import click

from commandline.options import json_option
from commandline.terminal import plural
from model_build.endpoint.prices import HOURS_A_MONTH, instance_prices
from model_build.endpoint.status import EndpointStatus, endpoint_status


@click.command()
@click.option("--endpoint-name", required=True, help="The endpoint.")
@json_option
def command(endpoint_name: str, *, as_json: bool) -> None:
    r"""Show what exists of a SageMaker endpoint, its state and its cost.

    Exits with 0 also when nothing exists.

    \b
    Example:
      scones model status --endpoint-name scones-vehicle-classifier
    """
    found = endpoint_status(endpoint_name)
    print(json.dumps(asdict(found)) if as_json else as_text(found))


def as_text(found: EndpointStatus) -> str:
    """Return the status as lines for a person."""
    if found.status is None:
        return f"endpoint {found.endpoint_name} does not exist{_left_over(found)}"
    lines = [
        f"endpoint {found.endpoint_name}: {found.status}",
        f"  serves      {found.serving}",
        f"  runs on     {_runs_on(found)}",
        f"  capture     {'on' if found.capture else 'off'}",
        f"  versions    {len(found.versions)}",
        f"  labels      {', '.join(found.labels or ()) or 'unknown'}",
        f"  logs        {found.log_group or 'none'}",
        f"  costs       {_costs(found)}",
    ]
    if found.failure_reason:
        lines.insert(1, f"  reason      {found.failure_reason}")
    return "\n".join(lines)


def _left_over(found: EndpointStatus) -> str:
    left = []
    if found.versions or found.models:
        left.append(plural(len(found.versions), "endpoint configuration"))
        left.append(plural(len(found.models), "model"))
    if found.log_group:
        left.append(f"the log group {found.log_group}")
    return f"; left over: {', '.join(left)} (`model_build delete` deletes them)" if left else ""


def _runs_on(found: EndpointStatus) -> str:
    if found.serverless_memory_mb:
        return f"serverless, {found.serverless_memory_mb} MB"
    text = f"{found.instances} x {found.instance_type}"
    if found.scaling:
        text += f" (scales from {found.scaling[0]} to {found.scaling[1]})"
    elif found.scaling_unknown:
        text += f" (auto scaling can't be read: {found.scaling_unknown})"
    return text


def _costs(found: EndpointStatus) -> str:
    prices = instance_prices()
    note = f"{prices.region}, list prices of {prices.date}"
    if found.serverless_memory_mb:
        return f"nothing while idle ({note})"
    if found.usd_an_hour is None:
        return f"unknown: prices.json has no price for {found.instance_type}"
    month = found.usd_an_hour * HOURS_A_MONTH
    return f"${found.usd_an_hour:.3f} an hour, ${month:.2f} a month ({note})"
