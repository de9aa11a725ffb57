"""SerializeImage: read a photo from S3 and return it as a small re-encoded image in base64.

Input:  {"s3_bucket": str, "s3_key": str, "version_id"?: str, "etag"?: str}; other keys are ignored.
Output: {"s3_bucket", "s3_key", "version_id"?, "etag"?, "image_data": base64, "content_type": str,
         "inferences": []}, where version_id and etag are those of the object that was read.
"""

from __future__ import annotations

import base64
import logging
import os
from typing import Any, NotRequired, TypedDict

import build_target

build_target.check()  # before Pillow is imported, whose own error would not say what to do

import boto3  # noqa: E402
import imaging  # noqa: E402
import names  # noqa: E402
from botocore.config import Config  # noqa: E402
from settings import Settings  # noqa: E402
from storage import ObjectReference, StoredObject, read_object  # noqa: E402

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

SETTINGS = Settings.from_environment(os.environ)
# 3 x (2 s + 5 s) and the pauses between stay below the function's timeout.
S3_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})
S3 = boto3.client("s3", config=S3_CONFIG)


class SerializedPhoto(TypedDict):
    """The input of ClassifyImage."""

    s3_bucket: str
    s3_key: str
    version_id: NotRequired[str]
    etag: NotRequired[str]
    image_data: str
    content_type: str
    inferences: list[float]


def lambda_handler(event: dict[str, Any], _context: object) -> SerializedPhoto:
    """Read, validate, shrink and encode the photo that the event names.

    Raises:
        ObjectNotFound: the object or the requested version does not exist.
        ObjectNotReadable: the object may not be read or decrypted.
        ObjectTooLarge: the object has too many bytes.
        UnsupportedImage: the object is not a complete image of a supported format.
        ImageTooLarge: the image has too many pixels.
        StorageUnavailable: S3 did not respond, or failed.
    """
    reference = ObjectReference.from_event(event)
    photo = {
        "s3_bucket": reference.bucket,
        "s3_key": reference.key,
        "version_id": reference.version_id,
        "etag": reference.etag,
    }
    # An Express execution that is cut off leaves no other trace of its photo.
    logger.info("photo received", extra=photo)
    names.check(reference.key)
    stored = read_object(S3, reference, SETTINGS.max_object_bytes)
    image = imaging.shrink(stored.body, longest_side=SETTINGS.longest_side, max_pixels=SETTINGS.max_pixels)
    logger.info(
        "photo serialized",
        extra={
            **photo,
            "bytes_read": len(stored.body),
            "bytes_returned": len(image.data),
            "content_type": image.content_type,
            "pixels": f"{image.width}x{image.height}",
        },
    )
    return _result(reference, stored, image)


def _result(reference: ObjectReference, stored: StoredObject, image: imaging.EncodedImage) -> SerializedPhoto:
    result = SerializedPhoto(
        s3_bucket=reference.bucket,
        s3_key=reference.key,
        image_data=base64.b64encode(image.data).decode("ascii"),
        content_type=image.content_type,
        inferences=[],
    )
    if stored.version_id:
        result["version_id"] = stored.version_id
    if stored.etag:
        result["etag"] = stored.etag
    return result
