"""Reading training images: archives, and folders by class."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_build.training.images import DETAIL, DataError, archives_in, read_images
from tests.support.tiny_model import cifar100_files, write_archive, write_photo


def write_tar(path: Path, **photos: str) -> Path:
    """Write a tar of photos: file name (with `_` for the dot) to colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, colour in photos.items():
            file = write_photo(path.parents[2] / "photos" / name.replace("_", "."), colour)
            tar.add(file, file.name)
    return path


def test_a_class_is_a_folder_of_images_and_tars(tmp_path: Path) -> None:
    write_tar(tmp_path / "data" / "red" / "0.tar", a_png="red", b_png="red")
    write_tar(tmp_path / "data" / "red" / "1.tar", c_jpg="red")
    write_photo(tmp_path / "data" / "red" / "d.png", "red")
    write_photo(tmp_path / "data" / "blue" / "1.jpg", "blue")
    (tmp_path / "data" / "red" / "notes.txt").write_text("not an image")
    (tmp_path / "data" / "empty").mkdir()
    images = read_images([tmp_path / "data"])
    assert images.counts() == {"blue": 1, "red": 4}
    groups = [(len(group.pixels), group.compressed) for group in images.by_class["red"]]
    assert sorted(groups) == [(1, False), (1, True), (2, False)]
    (blue,) = images.by_class["blue"]
    assert (blue.pixels.shape, blue.compressed) == ((1, DETAIL, DETAIL, 3), True)
    assert list(images.sources) == ["data"]


def test_a_tar_gives_what_its_files_give(tmp_path: Path) -> None:
    write_tar(tmp_path / "a" / "data" / "red" / "0.tar", a_png="red", b_png="blue")
    shutil.copytree(tmp_path / "a" / "photos", tmp_path / "b" / "data" / "red")
    packed, loose = (read_images([tmp_path / side / "data"]) for side in "ab")
    assert packed.sources == loose.sources
    assert np.array_equal(packed.by_class["red"][0].pixels, loose.by_class["red"][0].pixels)


def test_a_folder_without_images_and_what_is_broken_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder per class"):
        read_images([tmp_path])
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "0.tar").write_bytes(b"no tar")
    with pytest.raises(DataError, match=r"red/0\.tar: not a readable tar"):
        read_images([tmp_path])
    (tmp_path / "broken.png").write_bytes(b"no image")
    with tarfile.open(tmp_path / "red" / "0.tar", "w") as tar:
        tar.add(tmp_path / "broken.png", "broken.png")
    with pytest.raises(DataError, match=r"red/0\.tar/broken\.png: the body is not a readable image"):
        read_images([tmp_path])


def test_archives_are_found_in_folders(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "blue"], 3, 1))
    assert archives_in([tmp_path]) == archives_in([archive]) == [archive]
    assert read_images([tmp_path]).counts() == {"blue": 3, "red": 3}


def test_images_are_upright_central_squares(tmp_path: Path) -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = (220, 30, 30)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    (tmp_path / "red").mkdir()
    Image.fromarray(wide).save(tmp_path / "red" / "rotated.jpg", quality=95, exif=exif)
    images = read_images([tmp_path])
    (photo,) = images.by_class["red"][0].pixels
    assert abs(photo.reshape(-1, 3).astype(int) - (220, 30, 30)).max() < 40
