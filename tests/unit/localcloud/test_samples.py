"""The demo's own photos."""

from pathlib import Path

from localcloud.commands.demo import from_archive, sample_photos
from tests.support.tiny_model import cifar100_files, write_archive


def test_an_archives_test_images_become_photos(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "cifar.tar.gz", cifar100_files(["red", "green"], train=1, test=10))

    photos = from_archive(archive, tmp_path / "out", 4)

    assert len(photos) == 4
    assert {photo.path.parent.name for photo in photos} == {"red", "green"}
    assert all(photo.path.read_bytes().startswith(b"\x89PNG") for photo in photos)
    assert all(photo.key.startswith("incoming/test-images/") for photo in photos)


def test_drawings_and_test_images_are_written_again_each_time(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "cifar.tar.gz", cifar100_files(["red", "green"], train=1, test=2))
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "of-yesterday.jpg").touch()

    photos = sample_photos(tmp_path / "samples", archive)

    assert not (tmp_path / "samples" / "of-yesterday.jpg").exists()
    assert {photo.key.split("/")[1] for photo in photos} == {"samples", "test-images"}
    assert all(photo.path.is_file() for photo in photos)
