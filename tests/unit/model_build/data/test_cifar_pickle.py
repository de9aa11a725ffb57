"""The restricted unpickler: what the data sets use is read, everything else is refused."""

import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from model_build.data.cifar import load_archive
from model_build.errors import ArchiveError
from tests.support.tiny_model import cifar100_files, write_archive

CLASSES = ["red", "green", "blue"]


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


def test_a_pickle_that_calls_a_function_is_refused_before_the_call(tmp_path: Path) -> None:
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
        except ArchiveError as error:
            assert "damaged.tar.gz: test" in str(error)  # noqa: PT017 - some damage does no harm
            refused += 1
    assert refused > 100


def test_other_codecs_are_refused(tmp_path: Path) -> None:
    files = cifar100_files(CLASSES, 1, 1)
    # _codecs.encode("x", "zlib"): what is allowed for Latin-1 must not allow every codec.
    files["cifar-100-python/train"] = b"c_codecs\nencode\n(Vx\nVzlib\ntR."
    with pytest.raises(ArchiveError, match="train asks for the codec 'zlib'"):
        load_archive(write_archive(tmp_path / "codec.tar.gz", files))
