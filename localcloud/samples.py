"""The photos that the demo sends if the user gives none: drawings, and test images of an archive at hand."""

import shutil
from pathlib import Path
from typing import Final

from model_build.data.cifar import load_archive
from model_build.data.download import find_archive
from model_build.data.samples import write_samples
from model_build.errors import ArchiveError
from operations.photos.sources import PREFIX, Photo, find_photos

_ARCHIVE_PHOTOS: Final = 20


def sample_photos(folder: Path, archive: Path | None) -> list[Photo]:
    """Write sample photos, with test images of CIFAR-100 or another archive if there is one; return them.

    Raises:
        ArchiveError: the archive cannot be read.
    """
    shutil.rmtree(folder, ignore_errors=True)
    write_samples(folder / "drawn")
    photos = find_photos([folder / "drawn"], f"{PREFIX}samples/", every_file=True).photos
    archive = archive or _archive_at_hand()
    return photos + from_archive(archive, folder / "archive", _ARCHIVE_PHOTOS) if archive else photos


def from_archive(archive: Path, folder: Path, count: int) -> list[Photo]:
    """Write `count` test images of a CIFAR archive, taken evenly from all, as PNG; return them.

    Raises:
        ArchiveError: the archive cannot be read.
    """
    from PIL import Image  # noqa: PLC0415 - without an archive no image is written here

    data = load_archive(archive)
    total = len(data.test.images)
    photos = []
    for index in range(0, total, max(1, total // count)):
        label = data.classes[int(data.test.labels[index])]
        path = folder / label / f"{Path(data.test.filenames[index]).stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.test.images[index]).save(path)
        name = f"{label}/{path.name}"
        photos.append(Photo(f"test images/{name}", path, f"{PREFIX}test-images/{name}"))
    return photos[:count]


def _archive_at_hand() -> Path | None:
    try:
        return find_archive("cifar-100-python.tar.gz")
    except ArchiveError:
        return None
