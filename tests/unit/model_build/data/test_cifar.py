"""Archives: both layouts, what is wrong with broken ones, and pickles that want more than data."""

import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from model_build.data import cifar as archives
from model_build.data.cifar import ArchiveError, load_archive
from tests.support.real_data import real_data
from tests.support.tiny_model import cifar10_files, cifar100_files, picture, write_archive

CLASSES = ["red", "green", "blue"]


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


def test_arrays_as_python_2_pickled_them(tmp_path: Path) -> None:
    """The data sets were written by Python 2, whose text is bytes to Python 3, dtype codes included."""
    files = cifar100_files(["red"], 1, 1)
    as_now = pickle.dumps(files["cifar-100-python/test"], protocol=2)
    path = write_archive(tmp_path / "now.tar.gz", files)
    python_2 = as_now.replace(b"X\x02\x00\x00\x00u1", b"U\x02u1").replace(b"X\x01\x00\x00\x00|", b"U\x01|")
    assert python_2 != as_now
    files["cifar-100-python/test"] = python_2.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    old = load_archive(write_archive(tmp_path / "old.tar.gz", files))
    np.testing.assert_array_equal(old.test.images, load_archive(path).test.images)


class _Malicious:
    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os  # noqa: PLC0415

        return os.mkdir, (str(self._target),)


def test_a_pickle_that_wants_to_run_something_runs_nothing(tmp_path: Path) -> None:
    files = cifar100_files(CLASSES, 1, 1)
    files["cifar-100-python/train"] = {b"data": _Malicious(tmp_path / "harm")}
    path = write_archive(tmp_path / "evil.tar.gz", files)
    with pytest.raises(ArchiveError, match=r"evil\.tar\.gz: train asks for \w+\.mkdir"):
        load_archive(path)
    assert not (tmp_path / "harm").exists()


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    files = cifar100_files(CLASSES, 1, 1)
    files["cifar-100-python/train"] = {b"data": np.array([None, {}], dtype=object)}
    with pytest.raises(ArchiveError, match="train holds an array of object"):
        load_archive(write_archive(tmp_path / "objects.tar.gz", files))


def test_damaged_pickles_end_in_one_kind_of_error(tmp_path: Path) -> None:
    files = cifar100_files(["red"], 1, 1)
    whole = pickle.dumps(files["cifar-100-python/test"], protocol=2)
    head = len(whole) - 3072  # where the pickle's own words are, not the pixels
    chance = random.Random(1)  # noqa: S311 - damage, not a secret
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(head)
            damaged[place if place < head // 2 else -place] = chance.randrange(256)
        files["cifar-100-python/test"] = bytes(damaged)
        try:
            load_archive(write_archive(tmp_path / "damaged.tar.gz", files))
        except ArchiveError as exc:
            assert "damaged.tar.gz: test" in str(exc)  # noqa: PT017 - some damage does no harm
            refused += 1
    assert refused > 100


def test_other_codecs_are_refused(tmp_path: Path) -> None:
    files = cifar100_files(CLASSES, 1, 1)
    # _codecs.encode("x", "zlib"): what is allowed for Latin-1 must not be a door to every codec there is.
    files["cifar-100-python/train"] = b"c_codecs\nencode\n(Vx\nVzlib\ntR."
    with pytest.raises(ArchiveError, match="train asks for the codec 'zlib'"):
        load_archive(write_archive(tmp_path / "codec.tar.gz", files))


def _with(name: str, **changes: object) -> dict[str, object]:
    """A good archive with one value of one member replaced."""
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
        (_with("test", fine_labels=[0]), "test: fine_labels does not hold one whole number for each of 3"),
        (_with("test", fine_labels=[0, 1, 3]), "test: fine_labels has numbers outside 0 to 2"),
        (_with("test", fine_labels=[0, 1, -1]), "test: fine_labels has numbers outside 0 to 2"),
        (_with("meta", fine_label_names=[]), "meta has no list fine_label_names"),
        (
            {**cifar100_files(CLASSES, 1, 1), "cifar-100-python/test": b"junk"},
            "test is not a readable pickle",
        ),
        ({**cifar100_files(CLASSES, 1, 1), "cifar-100-python/test": [1]}, "test holds a list where"),
        ({"cifar-100-python/meta": {b"fine_label_names": [b"a"]}}, "there is no train in it"),
        ({"x/batches.meta": {b"label_names": [b"a"]}}, "there is no data_batch_1 in it"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, files: dict[str, object], message: str) -> None:
    path = write_archive(tmp_path / "broken.tar.gz", files)
    with pytest.raises(ArchiveError, match=rf"broken\.tar\.gz: {message}"):
        load_archive(path)


def test_files_that_are_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="there is no such file"):
        load_archive(tmp_path / "missing.tar.gz")
    text = tmp_path / "text.tar.gz"
    text.write_text("not an archive")
    with pytest.raises(ArchiveError, match=r"text\.tar\.gz: not a readable tar\.gz"):
        load_archive(text)
    whole = write_archive(tmp_path / "whole.tar.gz", cifar100_files(CLASSES, 2, 1)).read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError, match=r"cut\.tar\.gz: "):
        load_archive(cut)


def test_a_member_of_absurd_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 1000)
    path = write_archive(tmp_path / "large.tar.gz", cifar100_files(CLASSES, 1, 1))
    with pytest.raises(ArchiveError, match=r"cifar-100-python/train has \d+ bytes"):
        load_archive(path)


def test_find_archive_looks_in_the_named_folder_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, projects = tmp_path / "mine", tmp_path / "project"
    for folder in (mine, projects / "data"):
        folder.mkdir(parents=True)
        (folder / "some.tar.gz").touch()
    monkeypatch.setattr(archives, "ROOT", projects)
    monkeypatch.delenv("SCONES_DATA", raising=False)
    assert archives.find_archive("some.tar.gz") == projects / "data" / "some.tar.gz"
    monkeypatch.setenv("SCONES_DATA", str(mine))
    assert archives.find_archive("some.tar.gz") == mine / "some.tar.gz"
    with pytest.raises(ArchiveError, match=r"other\.tar\.gz was not found in .*mine.*project.*SCONES_DATA"):
        archives.find_archive("other.tar.gz")


def test_jpeg_roundtrip_loses_detail_and_keeps_the_picture() -> None:
    images = np.stack([picture("red", 1), picture("white", 2)])
    compressed = archives.jpeg_roundtrip(images, 75)
    assert compressed.shape == images.shape
    assert not np.array_equal(compressed, images)
    assert abs(compressed.astype(float) - images).mean() < 10
    rough = archives.jpeg_roundtrip(images, 5)
    assert abs(rough.astype(float) - images).mean() > abs(compressed.astype(float) - images).mean()


def test_cifar100_has_the_vehicles() -> None:
    vehicles = load_archive(real_data(archives.CIFAR_100))
    assert {"bicycle", "motorcycle"} <= set(vehicles.present)
    for name in ("bicycle", "motorcycle"):
        label = vehicles.classes.index(name)
        assert len(vehicles.train.of(label)) == 500
        assert len(vehicles.test.of(label)) == 100
    assert not vehicles.decoded_jpeg


def test_the_other_archive_was_decoded_from_jpeg() -> None:
    others = load_archive(real_data(archives.CIFAR_10))
    assert others.decoded_jpeg
    assert not {"bicycle", "motorcycle"} & set(others.present)
