"""The photos in the bucket whose records have not expired."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from operations.photos.sources import PREFIX
from operations.stack import Stack


def retained(stack: Stack, prefix: str = PREFIX) -> Iterator[dict[str, Any]]:
    """Yield the latest versions of photos as S3 describes them, those whose records have expired left out.

    A photo that is older than ResultRetentionDays has no record whatever became of it: it is not missing.
    Neither are versions that were overwritten or deleted.
    """
    days = int(stack.parameters.get("ResultRetentionDays", "0"))
    limit = stack.now() - timedelta(days=days) if days else datetime.min.replace(tzinfo=UTC)
    pages = stack.client("s3").get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=stack.output("PhotoBucketName"), Prefix=prefix):
        for one in page.get("Versions", []):
            if one["IsLatest"] and one["LastModified"] >= limit:
                yield one
