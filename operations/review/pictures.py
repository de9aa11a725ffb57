"""Photos from the bucket as a browser shows them: any that the workflow reads, upright, of bounded size."""

from typing import Final

from operations.photos.pictures import MOST_BYTES, CannotBeShownError, jpeg
from operations.review.queue import Waiting
from operations.stack import Stack

LONGEST_SIDE: Final = 1600


class Pictures:
    """Reads photos from the bucket of a deployed stack.

    Args:
        stack: the deployed stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._s3, self._bucket = stack.client("s3"), stack.output("PhotoBucketName")

    def jpeg(self, photo: Waiting) -> bytes:
        """Return a photo as JPEG, its longer side at most `LONGEST_SIDE` pixels.

        Raises:
            CannotBeShownError: it is no photo that the workflow reads.
            OSError: the connection ends early.
            ClientError: the bucket does not have it any more.
        """
        version = {} if photo.object_version == "unversioned" else {"VersionId": photo.object_version}
        answer = self._s3.get_object(Bucket=self._bucket, Key=photo.key, **version)
        if answer["ContentLength"] > MOST_BYTES:
            raise CannotBeShownError(f"it has {answer['ContentLength']:,} bytes, more than {MOST_BYTES:,}")
        return jpeg(answer["Body"].read(), LONGEST_SIDE)
