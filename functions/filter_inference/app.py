"""FilterInference: accept a classification at or above the confidence threshold. Standard library only.

Input:  {"s3_bucket", "s3_key", …, "inferences": [p0, p1, …]}, one probability per class, in label order.
Output: the same, plus "label" and "confidence" of the most probable class.
"""

from __future__ import annotations

import logging
import os
from typing import Any, NotRequired, TypedDict, cast

from errors import EndpointContractViolation, ThresholdConfidenceNotMet
from settings import Settings

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

SETTINGS = Settings.from_environment(os.environ)


class FilteredPhoto(TypedDict):
    """The workflow's result for an accepted photo."""

    s3_bucket: str
    s3_key: str
    version_id: NotRequired[str]
    etag: NotRequired[str]
    content_type: str
    inferences: list[float]
    model_version: NotRequired[str | None]
    label: str
    confidence: float


def lambda_handler(event: dict[str, Any], _context: object) -> FilteredPhoto:
    """Add label and confidence to the event if the confidence reaches the threshold.

    Raises:
        ThresholdConfidenceNotMet: it does not.
        EndpointContractViolation: inferences is not one probability per class.
    """
    label, confidence = most_probable(event.get("inferences"), SETTINGS.class_labels)
    accepted = confidence >= SETTINGS.confidence_threshold
    logger.info(
        "inference filtered",
        extra={
            "s3_key": event.get("s3_key"),
            "label": label,
            "confidence": confidence,
            "threshold": SETTINGS.confidence_threshold,
            "accepted": accepted,
        },
    )
    if not accepted:
        raise ThresholdConfidenceNotMet(label, confidence, SETTINGS.confidence_threshold)
    result = {name: event[name] for name in FilteredPhoto.__annotations__ if name in event}
    return cast("FilteredPhoto", {**result, "label": label, "confidence": confidence})


def most_probable(inferences: object, labels: tuple[str, ...]) -> tuple[str, float]:
    """Return the most probable class and its probability; the first of equal ones.

    Raises:
        EndpointContractViolation: inferences is not a list of one probability per label.
    """
    if (
        not isinstance(inferences, list)
        or len(inferences) != len(labels)
        or not all(isinstance(p, int | float) and not isinstance(p, bool) and 0 <= p <= 1 for p in inferences)
    ):
        raise EndpointContractViolation(
            f"inferences is {inferences!r:.80}, not one probability for each of {', '.join(labels)}"
        )
    best = max(range(len(labels)), key=inferences.__getitem__)
    return labels[best], float(inferences[best])
