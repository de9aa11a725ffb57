"""SerializeImage the plain way: boto3's resource, a download to a file, a full decode."""

import base64
import io
import tempfile
from pathlib import Path
from typing import Any

import boto3
from PIL import Image

S3 = boto3.resource("s3")


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Download a photo, shrink it, and return it in base64."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        S3.Bucket(event["s3_bucket"]).download_file(event["s3_key"], str(path))
        data = shrink(path.read_bytes(), 256)
    return {**event, "image_data": base64.b64encode(data).decode(), "inferences": []}


def shrink(photo: bytes, side: int) -> bytes:
    """Decode all of a photo, shrink it, and encode it as PNG."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
