"""Reading CIFAR archives: both layouts, and the errors of broken ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model_build.data import cifar
from model_build.data.cifar import load_archive
from model_build.data.extract import Limits
from model_build.errors import ArchiveError
from tests.support.tiny_model import cifar10_files, cifar100_files, picture, write_archive

CLASSES = ["red", "green", "blue"]
GOOD = cifar100_files(CLASSES, 1, 1)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_cifar100_layout(tmp_path: Path, protocol: int) -> None:
    path = write_archive(tmp_path / "c100.tar.gz", cifar100_files(CLASSES, 4, 2), protocol)
    archive = load_archive(path)
    assert archive.classes == archive.present == tuple(CLASSES)
    assert archive.train.images.shape == (12, 32, 32, 3)
    assert archive.train.images.dtype == np.uint8
    assert archive.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert archive.test.filenames[2] == "green_s_000000.png"
    np.testing.assert_array_equal(archive.train.of(1)[3], picture("green", 3))
    assert not archive.decoded_jpeg


def test_cifar10_layout_joins_its_batches(tmp_path: Path) -> None:
    archive = load_archive(write_archive(tmp_path / "c10.tar.gz", cifar10_files(CLASSES, 3, 2)))
    assert archive.train.images.shape == (18, 32, 32, 3)
    np.testing.assert_array_equal(archive.train.images[9], picture("red", 500))
    assert archive.test.images.shape == (6, 32, 32, 3)
    assert archive.decoded_jpeg


def test_an_archive_may_hold_a_part_of_its_classes(tmp_path: Path) -> None:
    files = cifar100_files(CLASSES, 1, 1)
    files["cifar-100-python/meta"] = {"fine_label_names": ["red", "green", "blue", "absent"]}
    archive = load_archive(write_archive(tmp_path / "part.tar.gz", files))
    assert archive.classes[3] == "absent"
    assert archive.present == tuple(CLASSES)


def _with(name: str, **changes: object) -> dict[str, object]:
    """Return a good archive with one value of one member replaced."""
    files = cifar100_files(CLASSES, 2, 1)
    member = files[f"cifar-100-python/{name}"]
    assert isinstance(member, dict)
    member.update({key.encode(): value for key, value in changes.items()})
    return files


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.txt": b"hello"}, "neither a CIFAR-100 archive .* nor a CIFAR-10 archive"),
        (_with("train", data=[1, 2, 3]), r"train: data is not an array of bytes \[N, 3072\]"),
        (_with("train", data=np.zeros((6, 100), np.uint8)), "train: data is not an array of bytes"),
        (_with("train", data=np.zeros((6, 3072), np.int32)), "train: data is not an array of bytes"),
        (_with("test", fine_labels=[0]), "test: fine_labels does not hold one integer for each of 3"),
        (_with("test", fine_labels=[0, 1, 3]), "test: fine_labels has numbers outside 0 to 2"),
        (_with("test", fine_labels=[[0], [1], [2]]), "test: fine_labels does not hold one integer"),
        (_with("test", fine_labels=[0, 1, 1 << 80]), "test: fine_labels does not hold one integer"),
        (_with("test", filenames=["a"]), "test: filenames does not hold one name for each of 3"),
        (_with("test", filenames=[1, 2, 3]), "test: filenames does not hold one name for each of 3"),
        (_with("test", fine_labels=[0, 1, -1]), "test: fine_labels has numbers outside 0 to 2"),
        (_with("meta", fine_label_names=[]), "meta has no list of names fine_label_names"),
        ({**GOOD, "cifar-100-python/test": b"junk"}, "test is not a readable pickle"),
        ({**GOOD, "cifar-100-python/test": [1]}, "test holds a list, expected a dict"),
        ({"cifar-100-python/meta": {b"fine_label_names": [b"a"]}}, "train is missing"),
        ({"x/batches.meta": {b"label_names": [b"a"]}}, "data_batch_1 is missing"),
    ],
)
def test_the_error_names_the_defect(tmp_path: Path, files: dict[str, object], message: str) -> None:
    path = write_archive(tmp_path / "broken.tar.gz", files)
    with pytest.raises(ArchiveError, match=rf"broken\.tar\.gz: {message}"):
        load_archive(path)


def _cut(path: Path) -> None:
    whole = write_archive(path, GOOD).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda _: None, r"a\.tar\.gz: no such file"),
        (lambda path: path.write_text("x"), r"a\.tar\.gz cannot be extracted: .*not a CIFAR archive[^\n]*$"),
        (_cut, r"a\.tar\.gz cannot be extracted: Compressed file ended"),
        (
            lambda path: write_archive(path, cifar100_files(CLASSES, 2, 1)),
            r"a\.tar\.gz cannot be extracted: more than 20,000 bytes",
        ),
    ],
    ids=["missing", "text", "cut", "absurd size"],
)
def test_files_that_are_not_archives(
    tmp_path: Path, write: Callable[[Path], object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar, "LIMITS", Limits(members=10, total_bytes=20_000))
    write(tmp_path / "a.tar.gz")
    with pytest.raises(ArchiveError, match=message):
        load_archive(tmp_path / "a.tar.gz")
