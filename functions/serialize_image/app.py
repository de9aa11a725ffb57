"""SerializeImage: read a photo from S3 and return it as a small re-encoded image in base64.

Input:  {"s3_bucket": str, "s3_key": str, "version_id"?: str, "etag"?: str}; other keys are ignored.
Output: {"s3_bucket", "s3_key", "version_id"?, "etag"?, "image_data": base64, "content_type": str,
         "inferences": []}, where version_id and etag are those of the object that was read.
"""

from __future__ import annotations

import base64
import logging
import os
from typing import Any

from settings import Settings, check_build, limit_memory

check_build()  # before Pillow is imported, whose own error would not say what to do

import boto3  # noqa: E402
import photo  # noqa: E402
from botocore.config import Config  # noqa: E402
from identify import check_key  # noqa: E402
from storage import ObjectReference, read_object  # noqa: E402

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

SETTINGS = Settings.from_environment(os.environ)
# 3 x (2 s + 5 s) and the pauses between stay below the function's timeout.
S3_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})
S3 = boto3.client("s3", config=S3_CONFIG)
limit_memory(os.environ)


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Read, validate, shrink and encode the photo that the event names; errors.py has what it raises."""
    reference = ObjectReference.from_event(event)
    # An Express execution that is cut off leaves no other trace of its photo.
    logger.info("photo received", extra=reference.as_dict())
    check_key(reference.key)
    stored, body = read_object(S3, reference, SETTINGS.max_object_bytes)
    image = photo.shrink(body, longest_side=SETTINGS.longest_side, max_pixels=SETTINGS.max_pixels)
    facts = {"bytes_read": len(body), "bytes_returned": len(image.data), "content_type": image.content_type}
    pixels = f"{image.width}x{image.height}"
    logger.info("photo serialized", extra={**reference.as_dict(), **facts, "pixels": pixels})
    return {
        **{name: value for name, value in stored.as_dict().items() if value},
        "image_data": base64.b64encode(image.data).decode("ascii"),
        "content_type": image.content_type,
        "inferences": [],
    }
