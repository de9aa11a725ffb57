"""Works out what a month of classifying photos costs on AWS, by how the model and the workflow run.

Prices stand in `prices.json`, with their date and source; what a photo uses stands in `Usage` below. Both are
assumptions that anyone can check and change, and the free tier is left out: a small bill will be smaller.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_build.endpoint.requests import DEFAULT_INSTANCE_TYPE, SERVERLESS_MEMORY_MB
from model_build.errors import RefusedError

if TYPE_CHECKING:
    import argparse

__all__ = ["Cost", "Usage", "add_arguments", "endpoint_cost_an_hour", "month", "prices", "run"]

PRICES = Path(__file__).with_name("prices.json")
HOURS_A_MONTH = 730
SECONDS_A_MONTH = HOURS_A_MONTH * 3600
MB_A_GB = 1024
KB_A_GB = 1024 * 1024
VOLUMES = (1_000, 100_000, 10_000_000)
EXPRESS_CHUNK_GB = 64 / MB_A_GB  # Express workflows are billed in steps of 64 MB


@dataclass(frozen=True)
class Usage:
    """What one photo uses, on the way to ACCEPTED, which nearly all take.

    Attributes:
        photo_mb: size of an uploaded photo; a phone's JPEG.
        kept_months: how long photos are kept.
        transitions: states that a Standard workflow enters, its start included.
        workflow_seconds: how long the workflow runs.
        lambda_gb_seconds: memory times billed duration of the three functions together.
        lambda_requests: function calls.
        inference_seconds: what a serverless endpoint bills for a photo.
        endpoint_kb: bytes in and out of the endpoint.
        events: events on EventBridge: the upload's, and the outcome's.
        review_share: share of the photos that a person must look at; each is three queue requests.
        log_kb: what the functions and the workflow log.
        traced_share: share of the photos that X-Ray traces.
        peak_factor: how many times the month's average the busiest minutes bring.
        invocations_per_instance: requests a minute that one instance is meant to answer.
        keys, alarms, dashboards: what the template makes of each, paid for by the month.
    """

    photo_mb: float = 3.0
    kept_months: float = 1.0
    transitions: int = 12
    workflow_seconds: float = 1.5
    lambda_gb_seconds: float = 0.45
    lambda_requests: int = 3
    inference_seconds: float = 0.1
    endpoint_kb: float = 40.0
    events: int = 2
    review_share: float = 0.15
    log_kb: float = 4.0
    traced_share: float = 0.05
    peak_factor: float = 4.0
    invocations_per_instance: int = 1000
    keys: int = 1
    alarms: int = 6
    dashboards: int = 1


@dataclass(frozen=True)
class Cost:
    """A month's cost in US dollars, by what it pays for.

    Attributes:
        photos: photos a month.
        endpoint: `serverless <MB>` or `<count> x <instance type>`.
        workflow: `STANDARD` or `EXPRESS`.
        endpoint_usd: SageMaker.
        workflow_usd: Step Functions.
        photos_usd: S3, for taking in, reading and keeping the photos.
        rest_usd: Lambda, EventBridge, DynamoDB, SQS, logs, traces, and what is paid for without photos too.
    """

    photos: int
    endpoint: str
    workflow: str
    endpoint_usd: float
    workflow_usd: float
    photos_usd: float
    rest_usd: float

    @property
    def total_usd(self) -> float:
        """All of it."""
        return self.endpoint_usd + self.workflow_usd + self.photos_usd + self.rest_usd


def prices() -> dict[str, Any]:
    """The price table."""
    table: dict[str, Any] = json.loads(PRICES.read_text(encoding="utf-8"))
    return table


def instance_hour(instance_type: str) -> float | None:
    """List price of an hour of one instance in US dollars; None when the table does not know the type."""
    price = prices()["sagemaker_instance_hour"].get(instance_type)
    return None if price is None else float(price)


def endpoint_cost_an_hour(variant: dict[str, Any], instances: int) -> float | None:
    """What an endpoint costs an hour while nobody asks it anything, in US dollars.

    Args:
        variant: its production variant, as DescribeEndpointConfig gives it.
        instances: how many instances run.

    Returns:
        0.0 for a serverless endpoint; None when the price of the instance type is not known.
    """
    if "ServerlessConfig" in variant:
        return 0.0
    price = instance_hour(variant["InstanceType"])
    return None if price is None else price * instances


def month(
    photos: int, *, instance_type: str | None, serverless_mb: int, express: bool, usage: Usage | None = None
) -> Cost:
    """Works out one month.

    Args:
        photos: photos a month.
        instance_type: real-time endpoint on this type; None for a serverless one.
        serverless_mb: memory of a serverless endpoint.
        express: Express instead of Standard workflow.
        usage: what a photo uses.

    Raises:
        RefusedError: the price of the instance type is not known.
    """
    usage = usage or Usage()
    table = prices()
    data = photos * usage.endpoint_kb / KB_A_GB * table["sagemaker_data_gb"]
    if instance_type is None:
        endpoint = f"serverless {serverless_mb} MB"
        gb_seconds = photos * usage.inference_seconds * serverless_mb / MB_A_GB
        endpoint_usd = gb_seconds * table["sagemaker_serverless_gb_second"] + data
    else:
        price = instance_hour(instance_type)
        if price is None:
            raise RefusedError(
                f"no price is known for {instance_type}: add it to {PRICES.name}, or take one of "
                f"{', '.join(table['sagemaker_instance_hour'])}"
            )
        instances = instances_needed(photos, usage)
        endpoint = f"{instances} x {instance_type}"
        endpoint_usd = instances * HOURS_A_MONTH * price + data
    return Cost(
        photos=photos,
        endpoint=endpoint,
        workflow="EXPRESS" if express else "STANDARD",
        endpoint_usd=endpoint_usd,
        workflow_usd=photos * _workflow(table, usage, express=express),
        photos_usd=photos * _storage(table, usage),
        rest_usd=photos * _rest(table, usage) + _fixed(table, usage),
    )


def instances_needed(photos: int, usage: Usage) -> int:
    """How many instances the busiest minutes need; never none, since an endpoint can't be stopped."""
    peak_a_minute = photos / SECONDS_A_MONTH * 60 * usage.peak_factor
    return max(1, math.ceil(peak_a_minute / usage.invocations_per_instance))


def _workflow(table: dict[str, Any], usage: Usage, *, express: bool) -> float:
    if express:
        gb_seconds = usage.workflow_seconds * EXPRESS_CHUNK_GB
        return float(
            table["step_functions_express_request"] + gb_seconds * table["step_functions_express_gb_second"]
        )
    return float(usage.transitions * table["step_functions_standard_transition"])


def _storage(table: dict[str, Any], usage: Usage) -> float:
    kept = usage.photo_mb / MB_A_GB * usage.kept_months
    return float(table["s3_put"] + table["s3_get"] + kept * table["s3_gb_month"])


def _rest(table: dict[str, Any], usage: Usage) -> float:
    return float(
        usage.lambda_requests * table["lambda_request"]
        + usage.lambda_gb_seconds * table["lambda_gb_second"]
        + usage.events * table["eventbridge_event"]
        + table["dynamodb_write"]
        + usage.review_share * 3 * table["sqs_request"]
        + usage.log_kb / KB_A_GB * table["logs_gb"]
        + usage.traced_share * table["xray_trace"]
    )


def _fixed(table: dict[str, Any], usage: Usage) -> float:
    """What a month costs without a single photo, the endpoint apart."""
    return float(
        usage.keys * table["kms_key_month"]
        + usage.alarms * table["alarm_month"]
        + usage.dashboards * table["dashboard_month"]
    )


# ---------------------------------------------------------------------------------------------- command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `model_build cost`."""
    parser.add_argument(
        "--photos", type=int, nargs="+", default=list(VOLUMES), metavar="N", help="photos a month"
    )
    parser.add_argument(
        "--instance-type", default=DEFAULT_INSTANCE_TYPE, metavar="T", help="real-time endpoint"
    )
    parser.add_argument(
        "--serverless-memory",
        type=int,
        default=2048,
        metavar="MB",
        help="serverless endpoint: 1024, 2048 … 6144",
    )
    parser.add_argument(
        "--photo-mb", type=float, default=Usage.photo_mb, metavar="MB", help="size of a photo"
    )
    parser.add_argument("--json", action="store_true", help="print prices, usage and costs as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `model_build cost`."""
    if min(args.photos) < 0:
        raise RefusedError("--photos: give numbers of 0 or more")
    if args.serverless_memory not in SERVERLESS_MEMORY_MB:
        raise RefusedError(f"--serverless-memory {args.serverless_memory}: give 1024, 2048 … 6144")
    usage = Usage(photo_mb=args.photo_mb)
    costs = [
        month(photos, instance_type=kind, serverless_mb=args.serverless_memory, express=express, usage=usage)
        for photos in args.photos
        for kind in (None, args.instance_type)
        for express in (False, True)
    ]
    if args.json:
        listed = [asdict(cost) | {"total_usd": cost.total_usd} for cost in costs]
        print(json.dumps({"prices": prices(), "usage": asdict(usage), "costs": listed}, indent=2))
        return 0
    table = prices()
    print(_table(costs))
    print(f"\n{table['region']}, {table['currency']} a month, prices of {table['date']}. {table['source']}.")
    return 0


def _table(costs: list[Cost]) -> str:
    """The costs as a Markdown table, which is readable on a terminal too."""
    head = ("photos", "endpoint", "workflow", "endpoint $", "workflow $", "storage $", "rest $", "total $")
    rows: list[tuple[str, ...]] = [(*head, "$ per 1,000")]
    rows += [
        (
            f"{cost.photos:,}",
            cost.endpoint,
            cost.workflow.capitalize(),
            *(f"{usd:,.2f}" for usd in (cost.endpoint_usd, cost.workflow_usd, cost.photos_usd)),
            *(f"{usd:,.2f}" for usd in (cost.rest_usd, cost.total_usd)),
            f"{cost.total_usd / cost.photos * 1000:,.2f}" if cost.photos else "-",
        )
        for cost in costs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text_columns = (1, 2)
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if column in text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    ruler = [
        "-" * width if column in text_columns else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join([lines[0], "| " + " | ".join(ruler) + " |", *lines[1:]])
