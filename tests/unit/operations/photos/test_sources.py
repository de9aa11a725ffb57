"""Which files become photos under which keys, and what is left out of them."""

import os
from pathlib import Path

import pytest

from commandline.errors import UsageError
from operations.photos.sources import Photo, find_photos


def keys(*paths: Path) -> dict[str, str]:
    return {photo.name: photo.key for photo in find_photos(paths).photos}


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folders_files_keep_their_relative_names(tmp_path: Path) -> None:
    names = ("a b.jpg", "sub/100%41+.png", "sub/überholt.jpg", "empty")
    make(tmp_path, *names, ".hidden", ".git/config")

    assert keys(tmp_path) == {name: f"incoming/{name}" for name in names}


def test_files_with_the_same_name_get_different_keys(tmp_path: Path) -> None:
    make(tmp_path, "a/x.jpg", "b/x.jpg", "c/x.jpg", "y")

    photos = find_photos([tmp_path / "a/x.jpg", tmp_path / "b", tmp_path / "c", tmp_path / "y"]).photos

    assert [photo.key for photo in photos] == [
        *("incoming/x.jpg", "incoming/x-2.jpg", "incoming/x-3.jpg", "incoming/y"),
    ]


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


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "photo.jpg", "secret.jpg")
    readable = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "secret" not in str(path) and readable(path, mode))

    assert find_photos([tmp_path]).skipped == [f"skipped {tmp_path}/secret.jpg: it may not be read"]


def test_a_folder_without_photos_is_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")

    with pytest.raises(UsageError) as caught:
        find_photos([tmp_path])

    first, *others = str(caught.value).splitlines()
    assert first == f"there are no photos in {tmp_path}"
    assert others == [f"skipped {tmp_path}/gone.jpg: the link leads to nowhere.jpg, which does not exist"]


@pytest.mark.parametrize(
    ("key", "problem"), [("incoming/fine", ""), ("incoming/\udcff", "UTF-8"), ("i" * 1025, "1024")]
)
def test_names_that_s3_does_not_take_are_told(key: str, problem: str) -> None:
    told = Photo("p", Path("p"), key).problem()
    assert (problem in told) if problem else (told == "")
