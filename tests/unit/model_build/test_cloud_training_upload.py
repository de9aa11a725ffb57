"""What a training job gets: the images by class and the source code."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image

from model_build.cloud_training import copy_source, tar_of_class, upload_by_class
from model_build.data.cifar import load_archive
from model_build.training.images import read_images
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive


def images_in(tar: bytes) -> list[Image.Image]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return [Image.open(io.BytesIO(opened.extractfile(member).read())) for member in opened]  # type: ignore[union-attr]


def test_images_that_were_jpeg_files_stay_jpeg(tmp_path: Path) -> None:
    clean = load_archive(
        write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], train=2, test=1))
    )
    lossy = load_archive(write_archive(tmp_path / "b.tar.gz", cifar10_files(["white"], train=1, test=1)))

    for archive, kind in ((clean, "PNG"), (lossy, "JPEG")):
        images = images_in(tar_of_class(archive, archive.classes.index(archive.present[0])))
        assert images
        assert {(image.format, image.size) for image in images} == {(kind, (32, 32))}


def test_lossless_images_keep_every_pixel_in_equal_bytes(tmp_path: Path) -> None:
    archive = load_archive(write_archive(tmp_path / "a.tar.gz", cifar100_files(["red"], train=2, test=1)))
    index = archive.classes.index("red")

    images = images_in(tar_of_class(archive, index))

    assert [image.tobytes() for image in images] == [image.tobytes() for image in archive.train.of(index)]
    assert tar_of_class(archive, index) == tar_of_class(archive, index)


class S3:
    """A session whose S3 keeps what is put into it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def client(self, _: str, **__: Any) -> "S3":
        """Return the client."""
        return self

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803 - boto3's names
        """Keep an object."""
        self.objects[f"{Bucket}/{Key}"] = Body


def test_every_class_of_every_archive_is_one_object_that_training_reads(tmp_path: Path) -> None:
    archives = [
        load_archive(write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], train=2, test=1))),
        load_archive(write_archive(tmp_path / "b.tar.gz", cifar10_files(["red", "white"], train=1, test=1))),
    ]
    s3: Any = S3()

    assert upload_by_class(archives, "bucket", "training/data/1", s3) == "s3://bucket/training/data/1"

    assert sorted(s3.objects) == [
        f"bucket/training/data/1/{name}.tar" for name in ("blue/0", "red/0", "red/1", "white/1")
    ]
    for key, content in s3.objects.items():
        path = tmp_path / "channel" / key.removeprefix("bucket/training/data/1/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    direct = read_images([archive.path for archive in archives])
    uploaded = read_images([tmp_path / "channel"])
    assert uploaded.counts() == direct.counts()
    assert [group.compressed for group in uploaded.by_class["red"]] == [False, True]


def test_the_source_is_complete_and_nothing_else(tmp_path: Path) -> None:
    copy_source(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"commandline", "model_build"}
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {"model_build/train.py", "model_build/training_requirements.txt"} <= names
    assert not any("__pycache__" in name for name in names)
    assert {name for name in names if "default_model/" in name} == {"model_build/default_model/detector.onnx"}
    shown = subprocess.run(
        [sys.executable, "-c", "import model_build.train as t; print(t.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith(str(tmp_path))
