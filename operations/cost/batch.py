"""Compute what classifying photos in a batch costs on AWS (statemachine/classify_batch.asl.json)."""

from dataclasses import dataclass
from typing import Final

from operations.cost.calculator import EXPRESS_CHUNK_GB, KB_A_GB, prices

LAMBDA_GB: Final = 1769 / 1024
ENDPOINT_GB: Final = 2048 / 1024


@dataclass(frozen=True)
class BatchUsage:
    """What a photo of a batch uses.

    Attributes:
        photos_a_batch: photos in a batch, a call of the function, and an execution of a child.
        function_seconds: billed duration of the function for a photo, others beside it.
        inference_seconds: what a serverless endpoint bills for a photo.
        table_writes: of the record, and of the note that it was announced; each to table and index.
        table_reads: of the records that there are.
        parent_transitions: of a run's Standard execution, for a batch: the start of its child.
        review_share: share of the photos that a person must look at.
        log_kb: of the function's log line for a batch, in KiB.
        list_requests: requests that list the bucket and write results, for a photo.
    """

    photos_a_batch: int = 25
    function_seconds: float = 0.06
    inference_seconds: float = 0.1
    table_writes: int = 4
    table_reads: float = 1.0
    parent_transitions: int = 1
    review_share: float = 0.15
    log_kb: float = 0.5
    list_requests: float = 0.001


def parts(usage: BatchUsage | None = None) -> dict[str, float]:
    """Return what one photo of a batch costs in US dollars, by what it pays for; keeping it apart.

    Args:
        usage: what it uses.
    """
    usage, usd = usage or BatchUsage(), prices().usd
    batch_seconds = usage.function_seconds * usage.photos_a_batch
    batches = 1 / usage.photos_a_batch
    gb_seconds = batch_seconds * EXPRESS_CHUNK_GB
    workflow = usage.parent_transitions * usd("step_functions_standard_transition")
    workflow += usd("step_functions_express_request") + gb_seconds * usd("step_functions_express_gb_second")
    endpoint_gb_seconds = usage.inference_seconds * ENDPOINT_GB
    return {
        "endpoint": endpoint_gb_seconds * usd("sagemaker_serverless_gb_second"),
        "workflow": batches * workflow,
        "functions": batches * usd("lambda_request")
        + usage.function_seconds * LAMBDA_GB * usd("lambda_gb_second"),
        "table": usage.table_writes * usd("dynamodb_write") + usage.table_reads * usd("dynamodb_read"),
        "events": usd("eventbridge_event"),
        "reviews": usage.review_share * 2.1 * usd("sqs_request"),
        "reading": usd("s3_get") + usage.list_requests * usd("s3_put"),
        "logs": batches * usage.log_kb / KB_A_GB * usd("logs_gb"),
    }


def dollars(photos: int, usage: BatchUsage | None = None) -> float:
    """Return what a run costs in US dollars, the endpoint included, keeping photos and records apart.

    Args:
        photos: photos that it classifies.
        usage: what one of them uses.
    """
    return photos * sum(parts(usage).values())
