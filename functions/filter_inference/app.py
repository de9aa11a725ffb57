"""FilterInference: accept a classification at or above the confidence threshold. Standard library only.

Input:  {"s3_bucket", "s3_key", …, "inferences": [p0, p1, …]}, one probability per class, in label order.
Output: the same, plus "label" and "confidence" of the most probable class.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict, cast

from errors import EndpointContractViolation, ThresholdConfidenceNotMet

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


class Settings(NamedTuple):
    """The class labels in the endpoint's order, and the lowest accepted confidence (0 to 1)."""

    class_labels: tuple[str, ...]
    confidence_threshold: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read CLASS_LABELS (comma separated) and CONFIDENCE_THRESHOLD; ValueError names a wrong one."""
        text = environment.get("CLASS_LABELS", "")
        labels = tuple(label.strip() for label in text.split(","))
        if len(labels) == 1 or len(set(labels)) < len(labels) or not all(labels):
            raise ValueError(
                f"environment variable CLASS_LABELS is {text!r}: give two or more different labels, "
                "comma separated"
            )
        text = environment.get("CONFIDENCE_THRESHOLD", "")
        try:
            threshold = float(text)
        except ValueError:
            threshold = float("nan")
        if not 0 <= threshold <= 1:  # also true of NaN
            raise ValueError(
                f"environment variable CONFIDENCE_THRESHOLD is {text!r}: set a number from 0 to 1"
            )
        return cls(labels, threshold)


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
    """Add label and confidence to the event if the confidence reaches the threshold; else errors.py."""
    label, confidence = most_probable(event.get("inferences"), SETTINGS.class_labels)
    threshold = SETTINGS.confidence_threshold
    found = {"label": label, "confidence": confidence}
    facts = {"s3_key": event.get("s3_key"), "threshold": threshold, "accepted": confidence >= threshold}
    logger.info("inference filtered", extra={**facts, **found})
    if confidence < threshold:
        raise ThresholdConfidenceNotMet(label, confidence, threshold)
    result = {name: event[name] for name in FilteredPhoto.__annotations__ if name in event}
    return cast("FilteredPhoto", {**result, **found})


def most_probable(inferences: object, labels: tuple[str, ...]) -> tuple[str, float]:
    """Return the most probable class, the first of equal ones, and its probability."""
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
