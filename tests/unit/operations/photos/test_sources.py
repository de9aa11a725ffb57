"""Which files become photos under which keys, and what is left out of them."""

import os
from pathlib import Path

import pytest

from commandline.errors import UsageError
from operations.photos.sources import Photo, find_photos

JPEG = b"\xff\xd8\xff\xe0"


def keys(*paths: Path) -> dict[str, str]:
    return {photo.name: photo.key for photo in find_photos(paths).photos}


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(JPEG)
    return folder


def test_a_folders_photos_keep_its_name_and_their_relative_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a b.jpg", "sub/100%41+.png", "sub/überholt.jpg")
    album = make(tmp_path / "album", *names, ".hidden", ".git/config")
    assert keys(album) == {name: f"incoming/album/{name}" for name in names}
    monkeypatch.chdir(album)
    assert keys(Path()) == {name: f"incoming/album/{name}" for name in names}


def test_files_with_the_same_name_get_different_keys(tmp_path: Path) -> None:
    make(tmp_path, "a/x.jpg", "b/x.jpg", "y", "c/b/x.jpg")
    photos = find_photos([tmp_path / name for name in ("a/x.jpg", "b", "c/b", "y")]).photos
    expected = [f"incoming/{name}" for name in ("x.jpg", "b/x.jpg", "b/x-2.jpg", "y")]
    assert [photo.key for photo in photos] == expected


@pytest.mark.parametrize(
    "begin",
    [
        *(JPEG, b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF1234WEBP", b"II*\0", b"MM\0*"),
        b"BM" + bytes(12) + b"\x28\0\0\0",
        *(b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypmif1", b"\0\0\0\x1cftypavif", b"\0\0\0\x18ftypcrx "),
    ],
)
def test_a_photo_is_known_by_its_first_bytes_whatever_its_name(tmp_path: Path, begin: bytes) -> None:
    make(tmp_path, "photo.txt")
    (tmp_path / "photo.txt").write_bytes(begin + b"more")
    assert list(keys(tmp_path)) == ["photo.txt"]


def test_what_is_no_photo_is_left_out_of_folders_and_counted(tmp_path: Path) -> None:
    make(tmp_path, "photo.jpg")
    others = {"weights.onnx": b"\x08\x08", "notes.txt": b"BM and more", "empty.jpg": b""}
    for name, content in {**others, "film.mp4": b"\0\0\0\x18ftypisom"}.items():
        (tmp_path / name).write_bytes(content)
    found = find_photos([tmp_path])
    assert [photo.name for photo in found.photos] == ["photo.jpg"]
    (left_out,) = found.skipped
    assert left_out.startswith(f"left out 4 files of {tmp_path} that are no photos by their first bytes: ")
    assert left_out.endswith(": empty.jpg, film.mp4, notes.txt, ...")
    assert find_photos([tmp_path / "notes.txt"]).photos, "what is named is sent"
    assert len(find_photos([tmp_path], every_file=True).photos) == 5


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "deep/photo.jpg")
    photos = make(tmp_path / "photos", "own.jpg")
    (photos / "album").symlink_to(tmp_path / "elsewhere")
    (photos / "one.jpg").symlink_to(tmp_path / "elsewhere" / "deep" / "photo.jpg")

    assert sorted(keys(photos)) == ["album/deep/photo.jpg", "one.jpg", "own.jpg"]
    (tmp_path / "link").symlink_to(photos)
    assert sorted(keys(tmp_path / "link")) == ["album/deep/photo.jpg", "one.jpg", "own.jpg"]


def test_links_in_a_circle_end_and_are_named(tmp_path: Path) -> None:
    make(tmp_path, "sub/photo.jpg")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    found = find_photos([tmp_path])
    assert [photo.name for photo in found.photos] == ["sub/photo.jpg"]
    assert found.skipped == [f"skipped {tmp_path}/sub/up: it leads to {tmp_path}, which is read already"]


def test_what_cannot_be_sent_is_named(tmp_path: Path) -> None:
    make(tmp_path, "photo.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    found = find_photos([tmp_path])
    assert [photo.name for photo in found.photos] == ["photo.jpg"]
    assert sorted(found.skipped) == [
        f"skipped {tmp_path}/gone.jpg: the link leads to {tmp_path}/nowhere.jpg, which does not exist",
        f"skipped {tmp_path}/loop.jpg: Too many levels of symbolic links",
        f"skipped {tmp_path}/pipe.jpg: not a file",
    ]
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(UsageError, match="not a file"):
            find_photos([path])


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "photo.jpg", "secret.jpg")
    readable = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "secret" not in str(path) and readable(path, mode))
    assert find_photos([tmp_path]).skipped == [f"skipped {tmp_path}/secret.jpg: it may not be read"]


def test_a_folder_without_photos_is_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(UsageError) as caught:
        find_photos([tmp_path])
    assert str(caught.value) == (
        f"there are no photos in {tmp_path}; "
        f"skipped {tmp_path}/gone.jpg: the link leads to nowhere.jpg, which does not exist"
    )


@pytest.mark.parametrize(
    ("key", "problem"), [("incoming/fine", ""), ("incoming/\udcff", "UTF-8"), ("i" * 1025, "1024")]
)
def test_names_that_s3_does_not_take_are_told(key: str, problem: str) -> None:
    reported = Photo("p", Path("p"), key).problem()
    assert (problem in reported) if problem else (reported == "")
