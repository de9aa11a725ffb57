"""Read training images by class: from CIFAR archives and from folders."""

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from model_build.data.cifar import load_archive
from model_build.data.images import Pixels
from model_build.errors import UsageError
from model_build.serving.inference import BadRequest, decode

IMAGE_SUFFIXES: Final = {".png", ".jpg", ".jpeg"}
TAR: Final = ".tar"  # of image files; a training job gets one per class
DETAIL: Final = 64  # height and width in pixels of what augmentation starts from; CIFAR has half of that


class DataError(UsageError):
    """The training data cannot be used; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Group:
    """Images of one class from one source."""

    pixels: Pixels  # uint8 [N, side, side, 3]
    compressed: bool


@dataclass(frozen=True)
class Images:
    """Training images by class, and the SHA-256 of their sources by name."""

    by_class: dict[str, list[Group]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Return the number of images of each class, by name in alphabetical order."""
        return {
            name: sum(len(group.pixels) for group in groups) for name, groups in sorted(self.by_class.items())
        }


def read_images(sources: Sequence[Path]) -> Images:
    """Read training images: CIFAR archives, folders of such archives, folders with a folder per class.

    A class's folder has image files, or tar archives of image files. A source without images is a DataError.
    """
    images = Images()
    for source in sources:
        archives = archives_in([source])
        for path in archives:
            archive = load_archive(path)
            images.sources[path.name] = archive.sha256
            for index, name in enumerate(archive.classes):
                pixels = archive.train.of(index)
                if len(pixels):
                    images.by_class.setdefault(name, []).append(Group(pixels, archive.decoded_jpeg))
        if not archives:
            _add_folder(images, source)
    return images


def archives_in(sources: Sequence[Path]) -> list[Path]:
    """Return the archives among the sources and in the folders among them."""
    return [
        archive
        for source in sources
        for archive in (sorted(source.glob("*.tar.gz")) if source.is_dir() else [source])
    ]


def _add_folder(images: Images, folder: Path) -> None:
    """Add image files by class, and the digest of them all."""
    digest, found = hashlib.sha256(), False
    for kind in sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."):
        files = sorted(path for path in kind.iterdir() if path.is_file() and path.name[0] != ".")
        tars = [_members(path) for path in files if path.suffix.lower() == TAR]
        loose = ((path, path.read_bytes()) for path in files if path.suffix.lower() in IMAGE_SUFFIXES)
        for group in (loose, *tars):
            pixels, compressed = [], False
            for path, content in group:
                digest.update(content)
                pixels.append(_thumbnail(path, content))
                compressed |= path.suffix.lower() != ".png"
            if pixels:
                images.by_class.setdefault(kind.name, []).append(Group(np.stack(pixels), compressed))
                found = True
    if not found:
        raise DataError(
            f"{folder}: no *.tar.gz archive and no folder per class with PNG or JPEG files, or a tar of them"
        )
    images.sources[folder.name] = digest.hexdigest()


def _members(tar: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the image files in a tar, in its order; nothing is written anywhere."""
    try:
        with tarfile.open(tar, "r:") as opened:
            for member in opened:
                path = tar / member.name
                source = opened.extractfile(member) if path.suffix.lower() in IMAGE_SUFFIXES else None
                if source is not None:
                    yield path, source.read()
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{tar}: not a readable tar: {error}") from error


def _thumbnail(path: Path, content: bytes) -> Pixels:
    """Return the central square of an image file, uint8 [DETAIL, DETAIL, 3]."""
    try:
        image = decode(content)
    except BadRequest as error:
        raise DataError(f"{path}: {error}") from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((DETAIL, DETAIL), Image.Resampling.BOX))
