"""ClassifyImage: ask the SageMaker endpoint which vehicle a serialized photo shows.

Input:  {"s3_bucket", "s3_key", "version_id"?, "etag"?, "image_data": base64, "content_type": str, …}.
Output: the same without image_data, with "inferences": one probability per class, in label order, and
        "model_version": the version of the model that answered, and "neither": the probability that the
        photo shows none of the classes; null if the endpoint does not say.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict, cast

import boto3
from botocore.config import Config
from endpoint import classify
from errors import UnsupportedImage

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


class Settings(NamedTuple):
    """The endpoint to invoke, and the class labels in the order of its probabilities."""

    endpoint_name: str
    class_labels: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read ENDPOINT_NAME and CLASS_LABELS (comma separated); ValueError names a missing or wrong one."""
        endpoint_name = environment.get("ENDPOINT_NAME", "").strip()
        if not endpoint_name:
            raise ValueError("environment variable ENDPOINT_NAME is not set: name a SageMaker endpoint")
        text = environment.get("CLASS_LABELS", "")
        labels = tuple(label.strip() for label in text.split(","))
        if len(labels) == 1 or len(set(labels)) < len(labels) or not all(labels):
            raise ValueError(
                f"environment variable CLASS_LABELS is {text!r}: give two or more different labels, "
                "comma separated"
            )
        return cls(endpoint_name, labels)


SETTINGS = Settings.from_environment(os.environ)
CONTENT_TYPES = ("image/png", "image/jpeg", "application/x-image")
_LONGEST_INFERENCE_ID = 64
# SageMaker answers within 60 s, and a cold endpoint needs most of them. One attempt: the workflow retries.
RUNTIME_CONFIG = Config(
    connect_timeout=2, read_timeout=60, retries={"total_max_attempts": 1, "mode": "standard"}
)
RUNTIME = boto3.client("sagemaker-runtime", config=RUNTIME_CONFIG)


class ClassifiedPhoto(TypedDict):
    """The input of FilterInference: the photo's name, without its bytes."""

    s3_bucket: str
    s3_key: str
    version_id: NotRequired[str]
    etag: NotRequired[str]
    content_type: str
    inferences: list[float]
    model_version: str | None
    neither: float | None


def lambda_handler(event: dict[str, Any], _context: object) -> ClassifiedPhoto:
    """Classify the image in the event; errors.py has what it raises."""
    image = decode_image(event)
    version = str(event.get("version_id") or "")
    answer = classify(
        RUNTIME,
        SETTINGS.endpoint_name,
        image,
        event["content_type"],
        SETTINGS.class_labels,
        inference_id=version if version.isascii() and len(version) <= _LONGEST_INFERENCE_ID else "",
    )
    facts = {
        "inferences": answer.probabilities,
        "model_version": answer.model_version,
        "neither": answer.neither,
    }
    logged = {"s3_key": event.get("s3_key"), "endpoint": SETTINGS.endpoint_name, **facts}
    logger.info("photo classified", extra=logged)
    kept = {name: event[name] for name in ClassifiedPhoto.__annotations__ if name in event}
    return cast("ClassifiedPhoto", {**kept, **facts})


def decode_image(event: dict[str, Any]) -> bytes:
    """Return the event's image; UnsupportedImage names the field that SerializeImage did not write so."""
    try:
        image = base64.b64decode(event.get("image_data") or "", validate=True)
    except (binascii.Error, TypeError, ValueError) as exc:
        raise UnsupportedImage(f"image_data is not base64: {exc}") from exc
    if not image:
        raise UnsupportedImage("image_data is empty: pass what SerializeImage returned")
    if event.get("content_type") not in CONTENT_TYPES:
        raise UnsupportedImage(
            f"content_type is {event.get('content_type')!r:.80}, not one of {', '.join(CONTENT_TYPES)}"
        )
    return image
