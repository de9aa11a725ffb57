"""The command `cost`."""

import json
from dataclasses import asdict

import click

from commandline.options import json_option
from commandline.prices import oldest
from operations.cost import WORKFLOWS, month, prices


@click.command()
@click.option("--photos", type=click.IntRange(1, 10**12), default=100_000, help="Photos a month.")
@click.option("--workflow", type=click.Choice(WORKFLOWS), default="STANDARD", help="BATCH is `scones batch`.")
@click.option("--instance-type", metavar="T", help="Of the endpoint.  [default: a serverless endpoint]")
@json_option
def command(photos: int, workflow: str, instance_type: str | None, *, as_json: bool) -> None:
    r"""Estimate what a month of photos costs on AWS, from list prices; makes no network calls.

    \b
    Example:
      scones cost --photos 50000 --instance-type ml.m5.large
    """
    cost = month(photos, workflow, instance_type)
    if as_json:
        table = {name: asdict(price) for name, price in prices().items()}
        print(json.dumps(asdict(cost) | {"total_usd": cost.total_usd, "prices": table}, indent=2))
        return
    print(
        f"{photos:,} photos a month: ${cost.total_usd:,.2f} ({cost.endpoint} ${cost.endpoint_usd:,.2f}, "
        f"{workflow} workflow ${cost.workflow_usd:,.2f}, calls ${cost.calls_usd:,.2f}, "
        f"storage ${cost.storage_usd:,.2f}, alarms and dashboard ${cost.fixed_usd:,.2f}); "
        f"list prices of {oldest(prices())}"
    )
