"""Extraction of tar.gz archives that nobody vouched for."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from model_build.data.extract import ExtractionError, Limits, extract, hash_files

SMALL = Limits(members=20, total_bytes=50_000)
Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", **attributes: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def write(path: Path, *members: Member, form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w:gz", format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() or path.is_symlink()
    }


@pytest.mark.parametrize(
    ("form", "depth"), [(tarfile.USTAR_FORMAT, 30), (tarfile.GNU_FORMAT, 60), (tarfile.PAX_FORMAT, 60)]
)
def test_files_and_folders_are_extracted(tmp_path: Path, form: int, depth: int) -> None:
    long_name = "part/" * depth + "ü.txt"
    archive = write(
        tmp_path / "a.tar.gz",
        member(".", type=tarfile.DIRTYPE),
        member("./model.onnx", b"weights" * 30_000),
        member("code/", type=tarfile.DIRTYPE),
        member("code/inference.py", b"first"),
        member("code/inference.py", b"second"),
        member("empty/", type=tarfile.DIRTYPE),
        member(long_name, b"deep"),
        form=form,
    )
    out = tmp_path / "new" / "folder"
    extract(archive, out)
    expected = {"model.onnx": b"weights" * 30_000, "code/inference.py": b"second", long_name: b"deep"}
    assert files(out) == expected
    assert (out / "empty").is_dir()
    assert hash_files(archive) == {name: sha256(body).hexdigest() for name, body in expected.items()}


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (member("/etc/escaped", b"x"), "absolute"),
        (member("../escaped", b"x"), "outside"),
        (member("code/../../escaped", b"x"), "outside"),
        (member("a/../b", b"x"), "outside"),
        (member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "neither"),
        (member("link", type=tarfile.SYMTYPE, linkname="good.txt"), "neither"),
        (member("link", type=tarfile.LNKTYPE, linkname="good.txt"), "neither"),
        (member("pipe", type=tarfile.FIFOTYPE), "neither"),
        (member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "neither"),
        (member("disk", type=tarfile.BLKTYPE, devmajor=8, devminor=0), "neither"),
        (member("large.bin", b"\0" * 60_000), "more than 50,000 bytes"),
        (member("sparse", b"x", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "1"}), "neither"),
    ],
    ids=lambda value: f"{value[0].name} {value[0].type!r}" if isinstance(value, tuple) else "",
)
def test_an_unsafe_member_is_refused(tmp_path: Path, hostile: Member, reason: str) -> None:
    archive = write(tmp_path / "a.tar.gz", member("good.txt", b"x"), hostile)
    out = tmp_path / "deep" / "out"
    for call in (lambda: extract(archive, out, SMALL), lambda: hash_files(archive, SMALL)):
        with pytest.raises(ExtractionError, match=reason) as caught:
            call()
        assert str(archive) in str(caught.value)
    assert files(tmp_path / "deep") == {"out/good.txt": b"x"}


@pytest.mark.parametrize(
    ("fitting", "reason"),
    [
        ([member(f"{number}.bin", b"\0" * 10_000) for number in range(5)], "more than 50,000 bytes"),
        ([member(f"{number}.txt") for number in range(20)], "more than 20 members"),
    ],
    ids=["bytes", "members"],
)
def test_all_members_together_are_bounded(tmp_path: Path, fitting: list[Member], reason: str) -> None:
    extract(write(tmp_path / "fits.tar.gz", *fitting), tmp_path / "out", SMALL)
    with pytest.raises(ExtractionError, match=reason):
        extract(write(tmp_path / "a.tar.gz", *fitting, member("one", b"x")), tmp_path / "out", SMALL)


def test_a_link_that_was_there_before_is_not_followed(tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (out / "code").symlink_to(outside)
    with pytest.raises(ExtractionError, match="outside"):
        extract(write(tmp_path / "a.tar.gz", member("code/a.py", b"x")), out)
    assert files(outside) == {}


def _negative(kind: bytes, size: int) -> bytes:
    block = bytearray(member("negative", type=kind)[0].tobuf())
    block[124:136] = (256**12 + size).to_bytes(13, "big")[1:]  # base 256, as GNU tar writes large sizes
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + b"\0" * 2048


COMMENT = member("PaxHeader", type=tarfile.XGLTYPE, size=512)[0].tobuf() + b"13 comment=x\n".ljust(512, b"\0")
HEADERS = {
    "one that fills the memory": member("PaxHeader", type=tarfile.XHDTYPE, size=3 << 20)[0].tobuf()
    + b"\0" * (4 << 20),
    "many": COMMENT * 100,
    **{
        f"{size} {kind!r}": _negative(kind, size)
        for size in (-512, -1024)
        for kind in (tarfile.REGTYPE, tarfile.XHDTYPE)
    },
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_header_ends(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(HEADERS[name]))
    reason = {"one that fills the memory": "a header of", "many": "more than 40,"}.get(name)
    with pytest.raises(ExtractionError, match=reason):
        extract(tmp_path / "a.tar.gz", tmp_path / "out", Limits(members=10, total_bytes=20_000))


def _flipped(archive: bytes) -> bytes:
    middle = len(archive) // 2
    changed = bytes(byte ^ 0xFF for byte in archive[middle : middle + 20])
    return archive[:middle] + changed + archive[middle + 20 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda archive: archive[: len(archive) // 2],
        _flipped,
        lambda _: b"",
        lambda _: b"no archive",
        lambda _: gzip.compress(b"no tar" * 200),
    ],
    ids=["truncated", "flipped", "empty", "text", "gzip-only"],
)
def test_a_damaged_archive_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    parts = [member(name, os.urandom(30_000)) for name in ("a.bin", "b.bin")]
    archive = write(tmp_path / "a.tar.gz", *parts)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ExtractionError, match=r"a\.tar\.gz cannot be extracted: \S"):
        extract(archive, tmp_path / "out")


def test_a_missing_archive_and_a_destination_that_is_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match=r"nowhere\.tar\.gz cannot be extracted: No such file"):
        extract(tmp_path / "nowhere.tar.gz", tmp_path / "out")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExtractionError, match=r"\(.*file\)"):
        extract(write(tmp_path / "a.tar.gz", member("a", b"x")), tmp_path / "file")
