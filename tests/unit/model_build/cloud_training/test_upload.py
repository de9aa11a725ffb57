"""What a training job gets: the images by class and the source code."""

import io
import subprocess
import sys
from pathlib import Path

from PIL import Image

from model_build.cloud_training.upload import copy_source, files_by_class
from model_build.data.cifar import load_archive
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive


def test_images_that_were_jpeg_files_stay_jpeg(tmp_path: Path) -> None:
    clean = load_archive(
        write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], train=2, test=1))
    )
    lossy = load_archive(write_archive(tmp_path / "b.tar.gz", cifar10_files(["white"], train=1, test=1)))

    for archive, kind in ((clean, "PNG"), (lossy, "JPEG")):
        for number, (name, content) in enumerate(files_by_class(archive)):
            with Image.open(io.BytesIO(content)) as image:
                assert image.format == kind
                assert image.size == (32, 32)
            assert name.split("/")[0] == archive.classes[archive.train.labels[number]]


def test_lossless_images_keep_every_pixel(tmp_path: Path) -> None:
    archive = load_archive(write_archive(tmp_path / "a.tar.gz", cifar100_files(["red"], train=2, test=1)))

    for number, (_, content) in enumerate(files_by_class(archive)):
        with Image.open(io.BytesIO(content)) as image:
            assert image.tobytes() == archive.train.images[number].tobytes()


def test_the_source_is_complete_and_nothing_else(tmp_path: Path) -> None:
    copy_source(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"commandline", "model_build"}
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {"model_build/train.py", "model_build/training_requirements.txt"} <= names
    assert not any("__pycache__" in name or "default_model" in name for name in names)
    shown = subprocess.run(
        [sys.executable, "-c", "import model_build.train as t; print(t.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith(str(tmp_path))
