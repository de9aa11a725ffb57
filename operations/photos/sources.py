"""Which photos to send, and under which keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PREFIX = "incoming/"
_MAX_KEY_BYTES = 1024
"""S3's own limit for a key in UTF-8."""


@dataclass(frozen=True)
class Photo:
    """A file and where it goes.

    Attributes:
        name: As the user knows it: relative to the folder that was given.
        path: The file.
        key: Its key in the photo bucket.
    """

    name: str
    path: Path
    key: str

    def problem(self) -> str:
        """Why S3 can't take this key; empty when it can."""
        try:
            size = len(self.key.encode())
        except UnicodeEncodeError:
            return "UnusableName: the file's name is not valid UTF-8, which an S3 key must be"
        if size > _MAX_KEY_BYTES:
            return f"UnusableName: {size} bytes of key, S3 takes {_MAX_KEY_BYTES}"
        return ""


def in_folder(folder: Path, prefix: str = PREFIX) -> list[Photo]:
    """Every file of a folder and its subfolders, hidden ones left out, under its relative name.

    Args:
        folder: Where the files are.
        prefix: What their keys start with.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            found.append(Photo(relative.as_posix(), path, prefix + relative.as_posix()))
    return found


def of_files(paths: Iterable[Path], prefix: str = PREFIX) -> list[Photo]:
    """Single files under their own names; a number tells files of one name apart."""
    photos: list[Photo] = []
    taken: set[str] = set()
    for path in paths:
        key, number = prefix + path.name, 1
        while key in taken:
            number += 1
            key = f"{prefix}{path.stem}-{number}{path.suffix}"
        taken.add(key)
        photos.append(Photo(str(path), path, key))
    return photos


def from_archive(archive: Path, folder: Path, count: int) -> list[Photo]:
    """Some test images of a CIFAR archive, written as PNG files.

    Args:
        archive: The archive, in CIFAR's python layout.
        folder: Where to write them.
        count: How many, taken evenly from all of its test images.

    Raises:
        ArchiveError: It can't be read.
    """
    from PIL import Image  # noqa: PLC0415  # the commands that need no images start faster without

    from model_build.data.cifar import load_archive  # noqa: PLC0415

    data = load_archive(archive)
    total = len(data.test.images)
    photos = []
    for index in range(0, total, max(1, total // count)) if count else ():
        label = data.classes[int(data.test.labels[index])]
        path = folder / label / f"{Path(data.test.filenames[index]).stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.test.images[index]).save(path)
        name = f"{label}/{path.name}"
        photos.append(Photo(f"test images/{name}", path, f"{PREFIX}test-images/{name}"))
    return photos[:count]
