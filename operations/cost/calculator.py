"""Compute what a month of classifying photos costs on AWS, by hosting of the model and kind of workflow.

Prices are in `prices.json` here and in `model_build/endpoint/`, each with its source and date; what a photo
uses is in `Usage` below. Both are assumptions that anyone can check and change. The free tier is not counted.
"""

import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from model_build.endpoint.prices import HOURS_A_MONTH, PriceTable, instance_prices
from model_build.errors import RefusedError

PRICES: Final = Path(__file__).with_name("prices.json")
SECONDS_A_MONTH: Final = HOURS_A_MONTH * 3600
MB_A_GB: Final = 1024
KB_A_GB: Final = 1024 * 1024
BATCH_FUNCTION_GB: Final = 1769 / MB_A_GB
"""Memory of ClassifyBatch: one whole processor (template.yaml)."""
MESSAGES_A_REQUEST: Final = 10
EXPRESS_CHUNK_GB: Final = 64 / MB_A_GB  # Express workflows are billed in steps of 64 MB


@dataclass(frozen=True)
class BatchUsage:
    """Usage of a photo that is one of a batch.

    Attributes:
        photos: photos in a batch: a call of the function, and an execution of a child.
        function_seconds: billed duration of the function for a photo while others run beside it: 0.07 s to
            shrink 12 megapixels and encode the result, and a share of the waiting for S3 and the endpoint.
        inference_seconds: what a warm serverless endpoint bills for a photo: 0.045 s by `make bench`.
        table_writes: of the record, and of the note that it was announced; each to table and index.
        table_reads: of the record that there may be.
        put_requests: of S3, listing versions and writing manifest and results.
        log_kb: of the function, for a batch, in KiB.
    """

    photos: int = 50
    function_seconds: float = 0.1
    inference_seconds: float = 0.05
    table_writes: int = 4
    table_reads: float = 1.0
    put_requests: float = 0.001
    log_kb: float = 1.0


@dataclass(frozen=True)
class Usage:
    """Assumed usage per photo, on the way to ACCEPTED, which nearly all photos take.

    Attributes:
        photo_mb: size of an uploaded photo; a phone's JPEG.
        kept_months: how long photos are kept.
        transitions: states that a Standard workflow enters, its start included.
        workflow_seconds: how long the workflow runs.
        lambda_gb_seconds: memory times billed duration of the three functions together.
        lambda_requests: function calls.
        inference_seconds: what a serverless endpoint bills for a photo.
        endpoint_kb: data in and out of the endpoint, in KiB.
        events: events on EventBridge: the upload's, and the outcome's.
        review_share: share of the photos that a person must look at; each is three queue requests.
        table_writes: writes to the results table and to its index.
        record_kb: size of a record in the table and its index, in KiB; records are kept as long as photos.
        log_kb: what the functions and the log of outcomes take, in KiB.
        event_log_kb: what the log of outcomes takes of that, in KiB.
        workflow_log_kb: what the workflow logs of an accepted photo, in KiB: nothing at the level ERROR that
            the template sets; about 17 at the level ALL.
        traces_a_second: photos that X-Ray traces in every second; its default sampling rule.
        traced_share: share of the other photos that it traces.
        peak_factor: requests in the busiest minutes relative to the month's average.
        invocations_per_instance: requests a minute that one instance is meant to answer.
        batch: what a photo uses instead if it is one of a batch.
        keys, dashboards: how many of each the template has, billed by the month.
        key_rotations: yearly rotations of a key that are billed; AWS bills the first two, which is both of
            them from the third year on.
        alarm_metrics: metrics that its alarms watch, billed by the month.
        custom_metrics: metrics of its own (photos by outcome, companions of photos, photos without
            outcome), billed by the month.
    """

    photo_mb: float = 3.0
    kept_months: float = 1.0
    transitions: int = 11
    workflow_seconds: float = 1.5
    lambda_gb_seconds: float = 0.45
    lambda_requests: int = 3
    inference_seconds: float = 0.1
    endpoint_kb: float = 40.0
    events: int = 2
    review_share: float = 0.15
    table_writes: int = 2
    record_kb: float = 2.0
    log_kb: float = 5.0
    event_log_kb: float = 1.0
    workflow_log_kb: float = 0.0
    traces_a_second: float = 1.0
    traced_share: float = 0.05
    peak_factor: float = 4.0
    invocations_per_instance: int = 1000
    batch: BatchUsage = field(default_factory=BatchUsage)
    keys: int = 0
    key_rotations: int = 2
    alarm_metrics: int = 13
    custom_metrics: int = 6
    dashboards: int = 1


@dataclass(frozen=True)
class Instances:
    """A real-time endpoint.

    Attributes:
        instance_type: as many of this type as the busiest minutes need.
    """

    instance_type: str


@dataclass(frozen=True)
class Serverless:
    """A serverless endpoint.

    Attributes:
        memory_mb: its memory.
    """

    memory_mb: int


@dataclass(frozen=True)
class Cost:
    """A month's cost in US dollars, by what it pays for.

    Attributes:
        photos: photos a month.
        endpoint: `serverless <MB>` or `<count> x <instance type>`.
        workflow: `STANDARD`, `EXPRESS` or `BATCH`.
        endpoint_usd: SageMaker.
        workflow_usd: Step Functions.
        photos_usd: S3, for receiving, reading and keeping the photos.
        rest_usd: Lambda, EventBridge, DynamoDB, SQS, logs, traces, and what is billed without photos too.
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
        """The sum."""
        return self.endpoint_usd + self.workflow_usd + self.photos_usd + self.rest_usd


@cache
def prices() -> PriceTable:
    """Return the prices of everything but the endpoint's instances."""
    return PriceTable.read(PRICES)


def month(photos: int, *, hosting: Instances | Serverless, workflow: str, usage: Usage | None = None) -> Cost:
    """Compute the cost of one month.

    Args:
        photos: photos a month.
        hosting: what the model runs on.
        workflow: `STANDARD` or `EXPRESS`, an execution for each photo, or `BATCH`, one for many.
        usage: assumed usage per photo.

    Raises:
        RefusedError: the price of the instance type is not known.
    """
    usage = usage or Usage()
    usd = prices().usd
    seconds = usage.batch.inference_seconds if workflow == "BATCH" else usage.inference_seconds
    endpoint, endpoint_usd = _endpoint(photos, hosting, usage, seconds)
    return Cost(
        photos=photos,
        endpoint=endpoint,
        workflow=workflow,
        endpoint_usd=endpoint_usd + photos * usage.endpoint_kb / KB_A_GB * usd("sagemaker_data_gb"),
        workflow_usd=photos * _workflow(usage, workflow),
        photos_usd=photos * _storage(usage),
        rest_usd=photos * _rest(usage, workflow)
        + _calls_traced(photos, usage, workflow) * usd("xray_trace")
        + _fixed(usage),
    )


def traces(photos: int, usage: Usage) -> float:
    """Return how many photos X-Ray traces in a month, if they are spread evenly over it."""
    always = min(photos, usage.traces_a_second * SECONDS_A_MONTH)
    return always + usage.traced_share * (photos - always)


def instances_needed(photos: int, usage: Usage) -> int:
    """Return how many instances the busiest minutes need; at least one: endpoints can't be stopped."""
    peak_a_minute = photos / SECONDS_A_MONTH * 60 * usage.peak_factor
    return max(1, math.ceil(peak_a_minute / usage.invocations_per_instance))


def _endpoint(
    photos: int, hosting: Instances | Serverless, usage: Usage, inference_seconds: float
) -> tuple[str, float]:
    """Return what the endpoint is, and what its computing costs."""
    if isinstance(hosting, Serverless):
        gb_seconds = photos * inference_seconds * hosting.memory_mb / MB_A_GB
        return f"serverless {hosting.memory_mb} MB", gb_seconds * prices().usd(
            "sagemaker_serverless_gb_second"
        )
    known = instance_prices().prices
    if hosting.instance_type not in known:
        raise RefusedError(
            f"no price is known for {hosting.instance_type}: add it to model_build/endpoint/prices.json, or "
            f"give one of {', '.join(known)}"
        )
    count = instances_needed(photos, usage)
    return f"{count} x {hosting.instance_type}", count * HOURS_A_MONTH * known[hosting.instance_type].usd


def _workflow(usage: Usage, workflow: str) -> float:
    usd = prices().usd
    if workflow == "BATCH":  # a child for each batch, and a transition of the parent that starts it
        gb_seconds = usage.batch.function_seconds * EXPRESS_CHUNK_GB
        request = usd("step_functions_express_request") + usd("step_functions_standard_transition")
        return request / usage.batch.photos + gb_seconds * usd("step_functions_express_gb_second")
    if workflow == "EXPRESS":
        gb_seconds = usage.workflow_seconds * EXPRESS_CHUNK_GB
        return usd("step_functions_express_request") + gb_seconds * usd("step_functions_express_gb_second")
    return usage.transitions * usd("step_functions_standard_transition")


def _storage(usage: Usage) -> float:
    usd = prices().usd
    kept = usage.photo_mb / MB_A_GB * usage.kept_months
    return usd("s3_put") + usd("s3_get") + kept * usd("s3_gb_month")


def _rest(usage: Usage, workflow: str) -> float:
    usd = prices().usd
    record = usage.record_kb / KB_A_GB * usage.kept_months
    kept = record * (usd("dynamodb_gb_month") + usd("dynamodb_recovery_gb_month"))
    return kept + (_batch_calls(usage) if workflow == "BATCH" else _calls(usage))


def _calls(usage: Usage) -> float:
    """Return what the calls for a photo cost that is classified by itself."""
    usd = prices().usd
    logs = (usage.log_kb + usage.workflow_log_kb) / KB_A_GB
    return (
        usage.lambda_requests * usd("lambda_request")
        + usage.lambda_gb_seconds * usd("lambda_gb_second")
        + usage.events * usd("eventbridge_event")
        + usage.table_writes * usd("dynamodb_write")
        + usage.review_share * 3 * usd("sqs_request")
        + logs * (usd("logs_gb") + usd("logs_gb_month"))
    )


def _batch_calls(usage: Usage) -> float:
    """Return what the calls for a photo of a batch cost."""
    usd, batch = prices().usd, usage.batch
    logs = (usage.event_log_kb + batch.log_kb / batch.photos) / KB_A_GB
    return (
        usd("lambda_request") / batch.photos
        + batch.function_seconds * BATCH_FUNCTION_GB * usd("lambda_gb_second")
        + usd("eventbridge_event")
        + batch.table_writes * usd("dynamodb_write")
        + batch.table_reads * usd("dynamodb_read")
        + usage.review_share * (2 + 1 / MESSAGES_A_REQUEST) * usd("sqs_request")
        + batch.put_requests * usd("s3_put")
        + logs * (usd("logs_gb") + usd("logs_gb_month"))
    )


def batch_dollars(photos: int, usage: Usage | None = None) -> float:
    """Return what a run of a batch costs in US dollars, a serverless endpoint of 2 GB included.

    What photos and records cost to be kept, and what is billed without photos too, is left out.

    Args:
        photos: photos that the run classifies.
        usage: what one of them uses.
    """
    usage = usage or Usage()
    endpoint = _endpoint(photos, Serverless(2048), usage, usage.batch.inference_seconds)[1]
    endpoint += photos * usage.endpoint_kb / KB_A_GB * prices().usd("sagemaker_data_gb")
    reading = prices().usd("s3_get")
    return endpoint + photos * (_workflow(usage, "BATCH") + _batch_calls(usage) + reading)


def _calls_traced(photos: int, usage: Usage, workflow: str) -> float:
    """Return how many traces X-Ray records: one for a photo, or for a batch of them."""
    return traces(math.ceil(photos / usage.batch.photos) if workflow == "BATCH" else photos, usage)


def _fixed(usage: Usage) -> float:
    """Return what a month costs without a single photo, the endpoint apart."""
    usd = prices().usd
    return (
        usage.keys * (usd("kms_key_month") + usage.key_rotations * usd("kms_rotation_month"))
        + usage.alarm_metrics * usd("alarm_month")
        + usage.custom_metrics * usd("custom_metric_month")
        + usage.dashboards * usd("dashboard_month")
    )
