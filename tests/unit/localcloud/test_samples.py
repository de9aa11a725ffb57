"""The demo's own photos."""

from pathlib import Path

import pytest

from localcloud.commands import demo
from localcloud.commands.demo import sample_photos
from tests.support.tiny_model import cifar100_files, write_archive


def test_drawings_and_some_test_images_of_an_archive_are_written_again_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(tmp_path / "cifar.tar.gz", cifar100_files(["red", "green"], train=1, test=10))
    monkeypatch.setattr(demo, "find_if_present", lambda _: [archive])
    monkeypatch.setattr(demo, "_ARCHIVE_PHOTOS", 4)
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "of-yesterday.jpg").touch()

    photos = sample_photos(tmp_path / "samples")

    assert not (tmp_path / "samples" / "of-yesterday.jpg").exists()
    assert all(photo.path.is_file() for photo in photos)
    assert {photo.key.split("/")[1] for photo in photos} == {"samples", "test-images"}
    images = [photo for photo in photos if photo.key.startswith("incoming/test-images/")]
    assert len(images) == 4
    assert {photo.path.parent.name for photo in images} == {"red", "green"}
    assert all(photo.path.read_bytes().startswith(b"\x89PNG") for photo in images)
