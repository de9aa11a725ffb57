"""Extraction of tar.gz archives that nobody vouched for."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from model_build.data.extract import ExtractionError, Limits, extract, list_files

SMALL = Limits(members=20, total_bytes=50_000)


def member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def write(path: Path, *members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
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


def test_files_and_folders_are_extracted(tmp_path: Path) -> None:
    long_name = "/".join(["part"] * 60) + "/ü.txt"
    archive = write(
        tmp_path / "a.tar.gz",
        member(".", type=tarfile.DIRTYPE),
        member("./model.onnx", b"weights" * 30_000),
        member("code/", type=tarfile.DIRTYPE),
        member("code/inference.py", b"first"),
        member("code/inference.py", b"second"),
        member("empty/", type=tarfile.DIRTYPE),
        member(long_name, b"deep"),
    )
    extract(archive, tmp_path / "new" / "folder")
    assert files(tmp_path / "new" / "folder") == {
        "model.onnx": b"weights" * 30_000,
        "code/inference.py": b"second",
        long_name: b"deep",
    }
    assert (tmp_path / "new" / "folder" / "empty").is_dir()
    assert list_files(archive) == {"model.onnx", "code/inference.py", long_name}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_format_is_read(tmp_path: Path, form: int) -> None:
    archive = write(tmp_path / "a.tar.gz", member("a/b.txt", b"content"), form=form)
    extract(archive, tmp_path / "out")
    assert files(tmp_path / "out") == {"a/b.txt": b"content"}


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
def test_an_unsafe_member_is_refused(
    tmp_path: Path, hostile: tuple[tarfile.TarInfo, bytes], reason: str
) -> None:
    archive = write(tmp_path / "a.tar.gz", member("good.txt", b"x"), hostile)
    out = tmp_path / "deep" / "out"
    for call in (lambda: extract(archive, out, SMALL), lambda: list_files(archive, SMALL)):
        with pytest.raises(ExtractionError, match=reason) as caught:
            call()
        assert str(archive) in str(caught.value)
    assert files(tmp_path / "deep") == {"out/good.txt": b"x"}


def test_the_sizes_of_all_members_count_together(tmp_path: Path) -> None:
    parts = [member(f"{number}.bin", b"\0" * 10_000) for number in range(5)]
    extract(write(tmp_path / "fits.tar.gz", *parts), tmp_path / "out", SMALL)
    with pytest.raises(ExtractionError, match="more than 50,000 bytes"):
        extract(write(tmp_path / "a.tar.gz", *parts, member("one", b"x")), tmp_path / "out", SMALL)


def test_the_number_of_members_is_bounded(tmp_path: Path) -> None:
    parts = [member(f"{number}.txt") for number in range(20)]
    extract(write(tmp_path / "fits.tar.gz", *parts), tmp_path / "out", SMALL)
    with pytest.raises(ExtractionError, match="more than 20 members"):
        extract(write(tmp_path / "a.tar.gz", *parts, member("one")), tmp_path / "out", SMALL)


def test_a_link_that_was_there_before_is_not_followed(tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (out / "code").symlink_to(outside)
    with pytest.raises(ExtractionError, match="outside"):
        extract(write(tmp_path / "a.tar.gz", member("code/a.py", b"x")), out)
    assert files(outside) == {}


def test_an_extended_header_cannot_fill_the_memory(tmp_path: Path) -> None:
    header, _ = member("PaxHeader", type=tarfile.XHDTYPE, size=3 << 20)
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(header.tobuf() + b"\0" * (4 << 20)))
    with pytest.raises(ExtractionError, match="a header of"):
        extract(archive, tmp_path / "out")


def test_many_extended_headers_are_bounded(tmp_path: Path) -> None:
    header, _ = member("PaxHeader", type=tarfile.XGLTYPE, size=512)
    record = header.tobuf() + b"13 comment=x\n".ljust(512, b"\0")
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(record * 100))
    with pytest.raises(ExtractionError):
        extract(archive, tmp_path / "out", Limits(members=10, total_bytes=20_000))


@pytest.mark.parametrize("size", [-512, -1024])
def test_a_negative_size_ends(tmp_path: Path, size: int) -> None:
    for kind in (tarfile.REGTYPE, tarfile.XHDTYPE):
        header, _ = member("negative", type=kind)
        block = bytearray(header.tobuf())
        block[124:136] = (256**12 + size).to_bytes(13, "big")[1:]  # base 256, as GNU tar writes large sizes
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        archive = tmp_path / f"{kind!r}.tar.gz"
        archive.write_bytes(gzip.compress(bytes(block) + b"\0" * 2048))
        with pytest.raises(ExtractionError):
            extract(archive, tmp_path / "out")


def _cut(archive: bytes) -> bytes:
    return archive[: len(archive) // 2]


def _flipped(archive: bytes) -> bytes:
    middle = len(archive) // 2
    return (
        archive[:middle]
        + bytes(byte ^ 0xFF for byte in archive[middle : middle + 20])
        + archive[middle + 20 :]
    )


@pytest.mark.parametrize(
    "damage",
    [_cut, _flipped, lambda _: b"", lambda _: b"no archive", lambda _: gzip.compress(b"no tar" * 200)],
    ids=["truncated", "flipped", "empty", "text", "gzip-only"],
)
def test_a_damaged_archive_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    archive = write(
        tmp_path / "a.tar.gz", member("a.bin", os.urandom(30_000)), member("b.bin", os.urandom(30_000))
    )
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ExtractionError, match=r"a\.tar\.gz cannot be extracted: \S"):
        extract(archive, tmp_path / "out")


def test_a_missing_archive_and_a_destination_that_is_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match=r"nowhere\.tar\.gz cannot be extracted: No such file"):
        extract(tmp_path / "nowhere.tar.gz", tmp_path / "out")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExtractionError, match=r"\(.*file\)"):
        extract(write(tmp_path / "a.tar.gz", member("a", b"x")), tmp_path / "file")
