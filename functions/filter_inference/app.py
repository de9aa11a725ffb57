"""FilterInference: lets through only what is confident enough. Needs nothing but the standard library.

Input:  {"s3_bucket", "s3_key", …, "inferences": [p0, p1, …]}, one probability a class, in label order.
Output: the same, plus "label" and "confidence" of the most probable class.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from errors import EndpointContractViolation, ThresholdConfidenceNotMet
from settings import Settings

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

SETTINGS = Settings.from_environment(os.environ)


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Add label and confidence to the event, if the confidence reaches the threshold.

    Raises:
        ThresholdConfidenceNotMet: it does not.
        EndpointContractViolation: inferences is not a list of one number for each class.
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
    return {**event, "label": label, "confidence": confidence}


def most_probable(inferences: object, labels: tuple[str, ...]) -> tuple[str, float]:
    """Give the most probable class and its probability; of equal ones the first.

    Raises:
        EndpointContractViolation: inferences is not a list of one probability for each label.
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
