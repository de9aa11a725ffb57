"""Photos as a browser shows them: any format that the workflow reads, upright, of bounded size."""

import io
from contextlib import suppress
from typing import Final

from PIL import Image, ImageOps

from operations.review.queue import Waiting
from operations.stack import Stack

LONGEST_SIDE: Final = 1600
_QUALITY: Final = 85


class Pictures:
    """Reads photos from the bucket of a deployed stack.

    Args:
        stack: the deployed stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._s3, self._bucket = stack.client("s3"), stack.output("PhotoBucketName")
        with suppress(ImportError):
            import pillow_heif  # noqa: PLC0415 - not in every environment

            pillow_heif.register_heif_opener()

    def jpeg(self, photo: Waiting) -> bytes:
        """Return a photo as JPEG, its longer side at most `LONGEST_SIDE` pixels.

        Raises:
            OSError: this machine cannot read its format.
            ClientError: the bucket does not have it any more.
        """
        version = {} if photo.object_version == "unversioned" else {"VersionId": photo.object_version}
        body = self._s3.get_object(Bucket=self._bucket, Key=photo.key, **version)["Body"].read()
        opened = Image.open(io.BytesIO(body))
        opened.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
        image = ImageOps.exif_transpose(opened)
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        shown = io.BytesIO()
        image.convert("RGB").save(shown, "JPEG", quality=_QUALITY)
        return shown.getvalue()
