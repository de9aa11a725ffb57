"""Which images a model is asked about, and in which form."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_build.archive.loaded_model import open_model
from model_build.data.cifar import load_archive
from model_build.data.images import jpeg_round_trip
from model_build.errors import UsageError
from model_build.evaluation import predictions
from model_build.evaluation.predictions import Predictions
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive, write_photo


@pytest.fixture
def classified(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """Return class and pixels of every image that is classified from now on."""
    found: list[tuple[str, bytes]] = []
    original = predictions.classify

    def spy(model: Any, pictures: Any, title: str) -> Any:
        for one in pictures:
            with Image.open(io.BytesIO(one.body)) as image:
                found.append((one.name.split("/")[0], image.tobytes()))
        return original(model, pictures, title)

    monkeypatch.setattr(predictions, "classify", spy)
    return found


def classify(model: Path, *data: Path) -> Predictions:
    with open_model(model) as loaded:
        return predictions.classify_archives(loaded, [load_archive(path) for path in data])


def test_without_jpegs_every_image_is_classified_as_it_is(
    tmp_path: Path, model: Path, classified: list[tuple[str, bytes]]
) -> None:
    path = write_archive(tmp_path / "c.tar.gz", cifar100_files(["white", "blue", "red"], 1, 2))
    found = classify(model, path)
    assert [pixels for _, pixels in classified] == [one.tobytes() for one in load_archive(path).test.images]
    # Rows, names and labels belong together.
    assert [name.split("/")[0] for name in found.names] == ["blue", "blue", "red", "red"]
    assert found.labels.tolist() == [1, 1, 0, 0]
    assert found.probabilities.argmax(axis=1).tolist() == [1, 1, 0, 0]
    assert [name.split("/")[0] for name in found.negative_names] == ["white", "white"]
    assert found.negatives.shape == (2, 2)
    assert found.comparable is found.probabilities


def test_beside_decoded_jpegs_compression_separates_nothing(
    tmp_path: Path, model: Path, classified: list[tuple[str, bytes]]
) -> None:
    plain = write_archive(tmp_path / "c100.tar.gz", cifar100_files(["red", "white"], 1, 1))
    jpegs = write_archive(tmp_path / "c10.tar.gz", cifar10_files(["black"], 1, 1))
    classify(model, plain, jpegs)
    red, white = load_archive(plain).test.images
    compressed = jpeg_round_trip(np.stack([red, white]), 75)
    assert classified == [
        ("red", red.tobytes()),  # as it is, for accuracy and calibration
        ("white", compressed[1].tobytes()),  # compressed once, like
        ("black", load_archive(jpegs).test.images[0].tobytes()),  # this, which was compressed already
        ("red", compressed[0].tobytes()),  # and this, which the negatives are compared with
    ]


def test_archives_that_are_all_decoded_jpegs_are_classified_once(
    tmp_path: Path, model: Path, classified: list[tuple[str, bytes]]
) -> None:
    classify(model, write_archive(tmp_path / "c10.tar.gz", cifar10_files(["red", "black"], 1, 1)))
    assert [name for name, _ in classified] == ["red", "black"]


def test_archives_without_the_models_classes(tmp_path: Path, model: Path) -> None:
    path = write_archive(tmp_path / "c.tar.gz", cifar100_files(["white"], 1, 1))
    with pytest.raises(UsageError, match="no archive has test images of red, blue; they have white"):
        classify(model, path)


def test_missing_archives_are_said_with_where_they_were_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_build.data.download.data_folders", lambda: [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(UsageError, match=rf"--data; cifar-100.* not found in {tmp_path}/a, {tmp_path}/b"):
        predictions.default_archives()
    (tmp_path / "b").mkdir()
    names = []
    for name in ("cifar-100-python.tar.gz", "cifar-10-python.tar.gz"):
        (tmp_path / "b" / name).touch()
        names.append(name)
        assert [path.name for path in predictions.default_archives()] == names


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("red/2.jpg", "red/1.png", "blue/1.webp", "other/1.png"):
        write_photo(tmp_path / "photos" / name, "red")
    (tmp_path / "photos" / "other" / ".hidden").write_text("no photo")
    (tmp_path / "photos" / "README.txt").write_text("no photo")
    return tmp_path / "photos"


def test_photos_are_found_by_label_and_links_are_followed(photos: Path) -> None:
    (photos / "red" / "0-link.png").symlink_to(photos / "red" / "1.png")
    found = [(path.name, label) for path, label in predictions.find_photos(["red", "blue"], photos)]
    assert found == [
        ("1.webp", "blue"), ("1.png", None), ("0-link.png", "red"), ("1.png", "red"), ("2.jpg", "red")
    ]  # fmt: skip


def _emptied(photos: Path) -> None:
    photos.rename(photos.with_name("away"))
    photos.mkdir()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda photos: (photos / "purple").mkdir(),
            "purple: photos are in folders named red, blue or other",
        ),
        (lambda photos: (photos / "red" / "deeper").mkdir(), "deeper: not a file"),
        (lambda photos: (photos / "red" / "dead.png").symlink_to("/nowhere"), "dead.png: not a file"),
        (lambda photos: photos.rename(photos.with_name("away")), "photos: no such folder"),
        (_emptied, "no photos in folders named red, blue or other"),
    ],
)
def test_what_would_be_left_out_is_named(photos: Path, make: Any, message: str) -> None:
    make(photos)
    with pytest.raises(UsageError, match=message):
        predictions.find_photos(["red", "blue"], photos)
