"""ClassifyBatch: classify, record and announce a batch of photos, as the workflow does with one.

Input:  {"Items": [{"key": str, "version_id": str}, …], "BatchInput": {"bucket": str, "reclassify"?: bool,
         "announce"?: bool}, "execution_arn": str, "started_at": str}, as ClassifyBatchStateMachine sends it.
Output: a list with one object for each item: {"s3_key", "version_id", "outcome", "label", "confidence",
         "error", "already_recorded"}.

It reads, classifies and filters with the code of the three functions (pipeline.py). A photo with an outcome
is left alone, so a batch may be repeated: what is left is done.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from announcements import Announcements
from botocore.config import Config
from errors import BatchIncomplete
from pipeline import Pipeline, Result, Temporary
from records import Batch, Photo, Records
from settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger("classify_batch")
logger.setLevel(logging.INFO)

SETTINGS = Settings.from_environment(os.environ)
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 5, "mode": "standard"})
PIPELINE = Pipeline.load()
RECORDS = Records(boto3.client("dynamodb", config=CONFIG), SETTINGS)
ANNOUNCEMENTS = Announcements(
    boto3.client("sqs", config=CONFIG), boto3.client("events", config=CONFIG), SETTINGS
)
RESERVE_S = 15.0
"""Nothing is tried again when less of the function's time is left: the batch must be concluded in it."""


class Context(Protocol):
    """What Lambda says about an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function is ended."""
        ...


def lambda_handler(event: dict[str, Any], context: Context) -> list[dict[str, Any]]:
    """Classify the photos of a batch that have no outcome yet.

    Raises:
        BatchIncomplete: some photos have none now, or were not announced, because a service failed; the
            others are recorded, and a repetition leaves them alone.
    """
    batch = Batch.from_event(event)
    known = RECORDS.known(batch)
    todo = [photo for photo in batch.photos if RECORDS.wanted(batch, known.get(photo))]
    with ThreadPoolExecutor(SETTINGS.photos_at_a_time) as pool:
        results = dict(zip(todo, pool.map(lambda photo: _classify(batch, photo, context), todo), strict=True))
    left = {photo: result for photo, result in results.items() if isinstance(result, Temporary)}
    untold = _announce(batch, known, results)
    logger.info(
        "batch classified",
        extra={"photos": len(batch.photos), "classified": len(todo) - len(left), "failed": len(left)},
    )
    if left or untold:
        raise BatchIncomplete(_why(batch, left, untold))
    return [_line(batch, photo, results.get(photo), known.get(photo)) for photo in batch.photos]


def _classify(batch: Batch, photo: Photo, context: Context) -> Result | Temporary:
    """Classify a photo and record its outcome, unless a service fails until the time is over."""

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000 - RESERVE_S

    result = PIPELINE.classify(batch.bucket, photo.key, photo.version_id, seconds_left)
    if isinstance(result, Result):
        result.recorded = RECORDS.write(batch, photo, result)
    return result


def _announce(
    batch: Batch, known: dict[Photo, dict[str, Any]], results: dict[Photo, Result | Temporary]
) -> Sequence[str]:
    """Announce what this batch has recorded, now or in an earlier attempt; return what could not be."""
    if not batch.announce:
        return []
    items = [item for item in known.values() if "undelivered" in item and RECORDS.own(batch, item)]
    items += [one.item for one in results.values() if isinstance(one, Result) and one.recorded and one.item]
    told, untold = ANNOUNCEMENTS.send(items)
    for item in told:
        RECORDS.delivered(item)
    return untold


def _why(batch: Batch, left: dict[Photo, Temporary], untold: Sequence[str]) -> str:
    parts = [f"{len(left)} of {len(batch.photos)} photos have no outcome yet"] if left else []
    parts += [f"{photo.key}: {why.error}: {why.cause}"[:300] for photo, why in list(left.items())[:3]]
    parts += [f"{len(untold)} outcomes were not announced: {untold[0]}"[:300]] if untold else []
    return "; ".join(parts)


def _line(
    batch: Batch, photo: Photo, result: Result | Temporary | None, known: dict[str, Any] | None
) -> dict[str, Any]:
    if isinstance(result, Result) and result.recorded:
        said = {"outcome": result.outcome, "label": result.label, "confidence": result.confidence}
        said["error"] = result.error
    else:  # the record of another execution stays
        said = RECORDS.said(known or RECORDS.read(batch, photo))
    recorded = isinstance(result, Result) and result.recorded
    return {"s3_key": photo.key, "version_id": photo.version_id, **said, "already_recorded": not recorded}
