"""What a training job needs from here: the images by class in S3, and the source code in a folder."""

import io
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import boto3
from botocore.config import Config
from PIL import Image

from commandline.terminal import progress
from model_build.data.cifar import Archive

UPLOADS_AT_A_TIME: Final = 16
JPEG_QUALITY: Final = 95
PACKAGES: Final = Path(__file__).resolve().parents[2]
SOURCE_PACKAGES: Final = ("commandline", "model_build")
NOT_NEEDED: Final = ("__pycache__", "default_model", "*.md", "role.yaml")


def upload_by_class(archives: Sequence[Archive], bucket: str, prefix: str, session: boto3.Session) -> str:
    """Upload the archives' training images, a folder per class, as `train` reads them.

    Args:
        archives: the data.
        bucket: where they go.
        prefix: key prefix of the folders.
        session: whose account and region.

    Returns:
        The `s3://` prefix of the folders.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
    """
    s3 = session.client("s3", config=Config(max_pool_connections=UPLOADS_AT_A_TIME))

    def upload(item: tuple[str, bytes]) -> None:
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{item[0]}", Body=item[1])

    total = sum(len(archive.train.labels) for archive in archives)
    with ThreadPoolExecutor(UPLOADS_AT_A_TIME) as pool:
        uploads = (done for archive in archives for done in pool.map(upload, files_by_class(archive)))
        for _ in progress(uploads, total=total, title="uploading images", unit="image"):
            pass
    return f"s3://{bucket}/{prefix}"


def files_by_class(archive: Archive) -> Iterator[tuple[str, bytes]]:
    """Yield an archive's training images as files: name below the channel's folder, and content.

    Images that were JPEG files are encoded as JPEG, all others without loss: training tells them apart by the
    type of the file, so that the network cannot learn "JPEG or not" instead of what an image shows.
    """
    kind, suffix = ("JPEG", "jpg") if archive.decoded_jpeg else ("PNG", "png")
    options = {"quality": JPEG_QUALITY, "subsampling": 0} if kind == "JPEG" else {}
    for index, label in enumerate(archive.train.labels.tolist()):
        content = io.BytesIO()
        Image.fromarray(archive.train.images[index]).save(content, kind, **options)
        yield f"{archive.classes[label]}/{index:05d}.{suffix}", content.getvalue()


def copy_source(folder: Path) -> Path:
    """Copy the packages that training needs, and nothing else, into a folder.

    Args:
        folder: an existing folder; each package becomes a folder in it.

    Returns:
        `folder`.
    """
    for name in SOURCE_PACKAGES:
        shutil.copytree(PACKAGES / name, folder / name, ignore=shutil.ignore_patterns(*NOT_NEEDED))
    return folder
