"""`operations cost`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import click

from commandline.options import FiniteRange, VariadicOption, json_option
from model_build.endpoint.prices import instance_prices
from model_build.endpoint.requests import DEFAULT_INSTANCE_TYPE, SERVERLESS_MEMORY_MB
from operations.cost.calculator import Cost, Instances, Serverless, Usage, month, prices

VOLUMES: Final = (1_000, 100_000, 10_000_000)
WORKFLOWS: Final = ("STANDARD", "EXPRESS", "BATCH")
HEAD: Final = (
    "photos", "endpoint", "workflow",
    "endpoint $", "workflow $", "storage $", "rest $", "total $", "$ per 1,000",
)  # fmt: skip
TEXT_COLUMNS: Final = frozenset({1, 2})


@click.command()
@click.option(
    "--photos",
    cls=VariadicOption,
    type=click.IntRange(min=0),
    default=VOLUMES,
    metavar="N",
    help="Photos a month; one or several numbers.",
)
@click.option("--instance-type", default=DEFAULT_INSTANCE_TYPE, metavar="T", help="Of a real-time endpoint.")
@click.option(
    "--serverless-memory",
    type=click.Choice([str(size) for size in SERVERLESS_MEMORY_MB]),
    default="2048",
    help="Memory of a serverless endpoint in MB.",
)
@click.option(
    "--photo-mb",
    type=FiniteRange(min=0),
    default=Usage.photo_mb,
    metavar="MB",
    help="Size of a photo.",
)
@json_option
def command(
    photos: Sequence[int], instance_type: str, serverless_memory: str, photo_mb: float, *, as_json: bool
) -> None:
    r"""Estimate the monthly cost of the application on AWS.

    Compares a serverless endpoint with one on instances, and photos by themselves (Standard and Express
    workflows) with photos in batches, from list prices and an assumed usage per photo. Makes no network
    calls.

    \b
    Example:
      python -m operations cost --photos 50000 --instance-type ml.c5.large
    """
    usage = Usage(photo_mb=photo_mb)
    costs = [
        month(count, hosting=hosting, workflow=workflow, usage=usage)
        for count in photos
        for hosting in (Serverless(int(serverless_memory)), Instances(instance_type))
        for workflow in WORKFLOWS
    ]
    if as_json:
        listed = [asdict(cost) | {"total_usd": cost.total_usd} for cost in costs]
        table = {
            **{name: asdict(price) for name, price in prices().prices.items()},
            "sagemaker_instance_hour": {
                name: asdict(price) for name, price in instance_prices().prices.items()
            },
        }
        print(json.dumps({"prices": table, "usage": asdict(usage), "costs": listed}, indent=2))
        return
    print(as_table(costs))
    print(f"\n{prices().note} ({prices().date}).")


def as_table(costs: Sequence[Cost]) -> str:
    """Return the costs as a Markdown table, which is readable on a terminal too."""
    rows = [HEAD, *map(_row, costs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruler = [
        "-" * width if column in TEXT_COLUMNS else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([lines[0], "| " + " | ".join(ruler) + " |", *lines[1:]])


def _row(cost: Cost) -> tuple[str, ...]:
    dollars = (cost.endpoint_usd, cost.workflow_usd, cost.photos_usd, cost.rest_usd, cost.total_usd)
    return (
        f"{cost.photos:,}",
        cost.endpoint,
        cost.workflow.capitalize(),
        *(f"{usd:,.2f}" for usd in dollars),
        f"{cost.total_usd / cost.photos * 1000:,.2f}" if cost.photos else "-",
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        cell.ljust(width) if column in TEXT_COLUMNS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "| " + " | ".join(cells) + " |"
