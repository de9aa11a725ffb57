"""The restricted unpickler: what the data sets use is read, everything else is refused."""

import json
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model_build.data.cifar import load_archive
from model_build.errors import ArchiveError
from tests.support.tiny_model import cifar100_files, write_archive

ROOT = Path(__file__).resolve().parents[4]
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


@pytest.mark.parametrize(
    ("evil", "message"),
    [
        ({b"data": _Malicious(Path("harm"))}, r"asks for \w+\.mkdir"),
        ({b"data": np.array([None, {}], dtype=object)}, "holds an array of object"),
        # _codecs.encode("x", "zlib"): what is allowed for Latin-1 must not allow every codec.
        (b"c_codecs\nencode\n(Vx\nVzlib\ntR.", "asks for the codec 'zlib'"),
    ],
    ids=["a call", "objects", "another codec"],
)
def test_what_a_pickle_asks_for_is_refused_before_it_is_done(
    tmp_path: Path, evil: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_archive(
        tmp_path / "evil.tar.gz", {**cifar100_files(CLASSES, 1, 1), "cifar-100-python/train": evil}
    )
    with pytest.raises(ArchiveError, match=rf"evil\.tar\.gz: train {message}"):
        load_archive(path)
    assert not (tmp_path / "harm").exists()


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


ARRAY = b"cnumpy\nndarray\n(tR"
EVIL = {
    "memo index": b"]r\xff\xff\xff\x7f.",
    "memo index in text": b"]p4294967295\n.",
    "memo index below 0": b"]p-1\n.",
    "bytes": b"B\xff\xff\xff\x7f.",
    "bytes of 64 bits": b"\x8e\xff\xff\xff\xff\x0f\0\0\0.",
    "byte array": b"\x96\xff\xff\xff\xff\x0f\0\0\0.",
    "text": b"X\xff\xff\xff\x7f.",
    "text of 64 bits": b"\x8d\xff\xff\xff\xff\x0f\0\0\0.",
    "string": b"T\xff\xff\xff\x7f.",
    "number": b"\x8b\xff\xff\xff\x7f.",
    "number of many digits": b"L" + b"9" * 100_000 + b"L\n.",
    "frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "array of a shape without data": b"}X\x04\0\0\0data"
    + ARRAY
    + b"(K\x01(J\xff\xff\xff\x7fK\x01tNI00\nC\0tbs.",
    "nested tuples as a key": b"}K\x01" + b"\x85" * 2_000_000 + b"Ns.",
    "nested tuples by the memo": b"}K\x01\x85"
    + b"".join(b"q%c0h%c\x85" % (i, i) for i in [1] * 500_000)
    + b"Ns.",
    "nested lists": b"]" * 1_000_000 + b"a" * 999_999 + b".",
    "lists that double": b"}X\x0b\0\0\0fine_labels](K\1K\1e"
    + b"".join(b"q%c0](h%ch%ce" % (i, i, i) for i in range(60))
    + b"s.",
    "attributes of a function": b"c_codecs\nencode\n}X\x01\0\0\0aK\x01sb.",
    "a set": b"\x8f(K\x01\x90.",
    "an extension": b"\x82\x01.",
    "an instance": b"(inumpy\nndarray\n.",
    "a persistent object": b"Pname\n.",
}
BOUNDED = """
import json, random, resource, sys
from model_build.data import cifar, cifar_pickle
from model_build.errors import ArchiveError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)
def read(content):
    try:
        return repr(sorted(cifar_pickle.load(content, "evil"))) if content else ""
    except ArchiveError as error:
        return str(error)
evil = {name: read(bytes.fromhex(content)) for name, content in json.load(sys.stdin).items()}
chance, codes = random.Random(1), [ord(one.code) for one in __import__("pickletools").opcodes]
reasons = set()
for _ in range(20_000):
    content = b"".join(
        bytes([chance.choice(codes)]) + chance.randbytes(chance.choice([0, 0, 1, 4, 8])) for _ in range(12)
    )
    reasons.add(read(content + b"."))
print(json.dumps({"evil": evil, "random": sorted(reasons)}))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux bounds and shows memory so")
def test_no_pickle_allocates_more_than_its_own_size() -> None:
    """In a process with 256 MB: a MemoryError would be in the answer, a crash in the exit status."""
    given = json.dumps({name: content.hex() for name, content in EVIL.items()})
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED], input=given, capture_output=True, text=True, check=True, cwd=ROOT
    )
    answers = json.loads(done.stdout)
    assert len(answers["random"]) > 100
    for reason in [*answers["evil"].values(), *answers["random"]]:
        assert "MemoryError" not in reason
        assert len(reason) < 400
        assert len(reason.splitlines()) <= 1
    read = {name for name, answer in answers["evil"].items() if not answer.startswith("evil ")}
    assert read <= {"lists that double", "array of a shape without data"}, "neither allocates"
