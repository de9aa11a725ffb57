"""What a training job needs from here: the images by class in S3, and the source code in a folder.

S3 bills every object that is written and read, and a job downloads few large files faster than many small
ones: so the images of a class are one tar archive.
"""

import io
import shutil
import tarfile
from collections.abc import Sequence
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
NOT_NEEDED: Final = shutil.ignore_patterns("__pycache__", "*.md", "role.yaml", "provenance")
OF_THE_MODEL: Final = "detector.onnx"  # training copies it


def upload_by_class(archives: Sequence[Archive], bucket: str, prefix: str, session: boto3.Session) -> str:
    """Upload the archives' training images: a folder per class, with a tar of images for each archive.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
    """
    s3 = session.client("s3", config=Config(max_pool_connections=UPLOADS_AT_A_TIME))

    def upload(item: tuple[int, Archive, int]) -> None:
        number, archive, index = item
        key = f"{prefix}/{archive.classes[index]}/{number}.tar"
        s3.put_object(Bucket=bucket, Key=key, Body=tar_of_class(archive, index))

    items = [
        (number, archive, index)
        for number, archive in enumerate(archives)
        for index in range(len(archive.classes))
        if len(archive.train.of(index))
    ]
    with ThreadPoolExecutor(UPLOADS_AT_A_TIME) as pool:
        for _ in progress(pool.map(upload, items), total=len(items), title="uploading images", unit="class"):
            pass
    return f"s3://{bucket}/{prefix}"


def tar_of_class(archive: Archive, index: int) -> bytes:
    """Return a tar with the training images of a class.

    Images that were JPEG files are encoded as JPEG, all others without loss: training tells them apart by the
    type of the file, so that the network cannot learn "JPEG or not" instead of what an image shows.
    """
    kind, suffix = ("JPEG", "jpg") if archive.decoded_jpeg else ("PNG", "png")
    options = {"quality": JPEG_QUALITY, "subsampling": 0} if kind == "JPEG" else {}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, pixels in enumerate(archive.train.of(index)):
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, kind, **options)
            info = tarfile.TarInfo(f"{number:05d}.{suffix}")
            info.size = len(content.getvalue())
            content.seek(0)
            tar.addfile(info, content)
    return packed.getvalue()


def copy_source(folder: Path) -> Path:
    """Copy the packages that training needs, and of the shipped model the detector, into a folder."""
    for name in SOURCE_PACKAGES:
        shutil.copytree(PACKAGES / name, folder / name, ignore=_not_needed)
    return folder


def _not_needed(folder: str, names: list[str]) -> set[str]:
    if Path(folder).name == "default_model":
        return set(names) - {OF_THE_MODEL}
    return NOT_NEEDED(folder, names)
