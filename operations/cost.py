"""What a month of photos costs on AWS, by list prices and an assumed usage per photo; no free tier."""

import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

from commandline.prices import HOURS_A_MONTH, Price, instance_prices, read_prices
from model_build.errors import RefusedError

WORKFLOWS: Final = ("STANDARD", "EXPRESS", "BATCH")
SERVERLESS_GB: Final = 2
PHOTO_GB: Final = 3 / 1024  # a phone's JPEG; the month's photos are kept for a month
REVIEW_SHARE: Final = 0.15
TRANSITIONS: Final = {"ACCEPTED": 12, "LOW_CONFIDENCE": 16}  # of a Standard workflow, its start included
WORKFLOW_GB_SECONDS: Final = 1.5 * 64 / 1024  # Express workflows are billed in steps of 64 MB
LAMBDA_GB_SECONDS: Final = 0.45  # of the three functions together
INFERENCE_SECONDS: Final = {"STANDARD": 0.1, "EXPRESS": 0.1, "BATCH": 0.05}  # a batch keeps the endpoint warm
ENDPOINT_GB: Final = 40 / 1024**2
TABLE_WRITES: Final = 4  # the record and that its event is published, to the table and to its index
RECORD_GB: Final = 2 / 1024**2
LOG_GB: Final = 5 / 1024**2  # STANDARD logs nothing of an accepted photo at the level ERROR
EXPRESS_LOG_GB: Final = 17 / 1024**2
PHOTOS_A_CHILD: Final = 8  # of a batch, by default
BATCH_TRACED: Final = 0.075  # of a batch's photos: 5 %, and one a second of forty
PEAK_FACTOR: Final = 4  # the busiest minutes relative to the month's average
INSTANCE_REQUESTS: Final = 1000  # a minute
ALARM_METRICS: Final = 13
CUSTOM_METRICS: Final = 6


@dataclass(frozen=True)
class Cost:
    """A month in US dollars; `fixed_usd` is paid without photos too: alarms, metrics, dashboard."""

    photos: int
    workflow: str
    endpoint: str
    endpoint_usd: float
    workflow_usd: float
    calls_usd: float
    storage_usd: float
    fixed_usd: float

    @property
    def total_usd(self) -> float:
        """The sum."""
        return math.fsum(value for name, value in asdict(self).items() if name.endswith("_usd"))


@cache
def prices() -> dict[str, Price]:
    """Return the prices of everything but the endpoint's instances."""
    return read_prices(Path(__file__).with_name("prices.json"))


def usd(name: str) -> float:
    """Return one of these prices in US dollars."""
    return prices()[name].usd


def month(photos: int, workflow: str = "STANDARD", instance_type: str | None = None) -> Cost:
    """Compute a month; serverless without an instance type. RefusedError if its price is not known."""
    if instance_type is None:
        endpoint, gb_seconds = f"serverless {SERVERLESS_GB} GB", INFERENCE_SECONDS[workflow] * SERVERLESS_GB
        endpoint_usd = photos * gb_seconds * usd("sagemaker_serverless_gb_second")
    elif instance_type in (known := instance_prices()):
        count = instances_needed(photos)
        endpoint = f"{count} x {instance_type}"
        endpoint_usd = count * HOURS_A_MONTH * known[instance_type].usd
    else:
        raise RefusedError(
            f"no price is known for {instance_type}: add it to commandline/prices.json, or give one "
            f"of {', '.join(known)}"
        )
    storage = PHOTO_GB * usd("s3_gb_month") + usd("s3_put")
    storage += RECORD_GB * (usd("dynamodb_gb_month") + usd("dynamodb_recovery_gb_month"))
    fixed = ALARM_METRICS * usd("alarm_month") + CUSTOM_METRICS * usd("custom_metric_month")
    return Cost(
        photos=photos,
        workflow=workflow,
        endpoint=endpoint,
        endpoint_usd=endpoint_usd + photos * ENDPOINT_GB * usd("sagemaker_data_gb"),
        workflow_usd=photos * _workflow(workflow),
        calls_usd=photos * _calls(workflow) + traces(photos, workflow) * usd("xray_trace"),
        storage_usd=photos * storage,
        fixed_usd=fixed + usd("dashboard_month"),
    )


def batch_dollars(photos: int) -> float:
    """Return what a run of a batch costs, with a serverless endpoint and without what is kept."""
    cost = month(photos, "BATCH")
    return cost.endpoint_usd + cost.workflow_usd + cost.calls_usd


def instances_needed(photos: int) -> int:
    """Return how many instances the busiest minutes need; at least one: endpoints can't be stopped."""
    return max(1, math.ceil(photos / (HOURS_A_MONTH * 60) * PEAK_FACTOR / INSTANCE_REQUESTS))


def _workflow(workflow: str) -> float:
    transition = usd("step_functions_standard_transition")
    doubtful = TRANSITIONS["LOW_CONFIDENCE"] - TRANSITIONS["ACCEPTED"]
    if workflow == "STANDARD":
        return (TRANSITIONS["ACCEPTED"] + REVIEW_SHARE * doubtful) * transition
    execution = usd("step_functions_express_request")
    express = execution + WORKFLOW_GB_SECONDS * usd("step_functions_express_gb_second")
    # A batch starts a child for some photos at once, which runs as long as they do.
    return express if workflow == "EXPRESS" else express + (express + transition) / PHOTOS_A_CHILD


def _calls(workflow: str) -> float:
    reviewed = REVIEW_SHARE * 3 * usd("sqs_request")
    functions = 3 * usd("lambda_request") + LAMBDA_GB_SECONDS * usd("lambda_gb_second")
    logged = LOG_GB + (EXPRESS_LOG_GB if workflow == "EXPRESS" else 0)
    logs = logged * (usd("logs_gb") + usd("logs_gb_month"))
    events = usd("eventbridge_event") * (1 if workflow == "BATCH" else 2)  # the outcome's, and the upload's
    records = TABLE_WRITES * usd("dynamodb_write")
    looked_up = usd("dynamodb_read") if workflow == "BATCH" else 0
    return functions + events + records + looked_up + reviewed + logs + usd("s3_get")


def traces(photos: int, workflow: str) -> float:
    """Return how many photos X-Ray traces: one a second, and 5 % of the others."""
    if workflow == "BATCH":
        return BATCH_TRACED * photos
    always = min(photos, HOURS_A_MONTH * 3600)
    return always + 0.05 * (photos - always)
