"""Brings everything the network learns from into one set of tensors: images, drawings and clutter.

The labels come first among the network's outputs; after them each other kind of thing in the data is an
output of its own, then drawings of other things, then clutter. What goes to those belongs to no label.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from model_build.data.cifar import Archive, load_archive
from model_build.data.drawings import FIRST_TEST_SEED, KINDS, draw
from model_build.data.jpeg import jpeg_round_trip
from model_build.data.textures import make_clutter
from model_build.errors import UsageError

Pixels = npt.NDArray[np.uint8]

DRAWN_OUTPUT = "drawing of something else"
CLUTTER_OUTPUT = "nothing in particular"
CHANNEL_PREFIX = "SM_CHANNEL_"
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}
DETAIL = 64  # height and width in pixels of what augmentation starts from; CIFAR has half of that


class DataError(UsageError):
    """The training data cannot serve; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Batch:
    """Images of one class from one source.

    Attributes:
        pixels: uint8 [N, side, side, 3].
        compressed: whether they went through JPEG already.
    """

    pixels: Pixels
    compressed: bool


@dataclass(frozen=True)
class Images:
    """Training images by class, from any number of sources.

    Attributes:
        by_class: class name to batches; a class that two sources know is one class.
        sources: file or folder name to its SHA-256, for the manifest.
    """

    by_class: dict[str, list[Batch]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, pixels: Pixels, *, compressed: bool) -> None:
        """Add images of a class, if there are any."""
        if len(pixels):
            self.by_class.setdefault(name, []).append(Batch(pixels, compressed))

    def count(self, name: str) -> int:
        """How many images there are of a class."""
        return sum(len(batch.pixels) for batch in self.by_class[name])


@dataclass(frozen=True)
class TrainingSet:
    """Everything the network learns from.

    Attributes:
        labels: the class labels.
        outputs: names of the network's outputs; the first ones are the labels.
        images: uint8 [N, 3, DETAIL, DETAIL].
        compressed: the same images after JPEG.
        targets: int64 [N], indices into `outputs`.
        real: bool [N], false for drawings and clutter.
    """

    labels: list[str]
    outputs: list[str]
    images: Tensor
    compressed: Tensor
    targets: Tensor
    real: Tensor

    @property
    def clutter_output(self) -> int:
        """The output for pictures of nothing in particular; -1 if there are none."""
        return self.outputs.index(CLUTTER_OUTPUT) if CLUTTER_OUTPUT in self.outputs else -1

    def part(self, chosen: Tensor) -> "TrainingSet":
        """The images at these indices."""
        return TrainingSet(
            self.labels,
            self.outputs,
            self.images[chosen],
            self.compressed[chosen],
            self.targets[chosen],
            self.real[chosen],
        )


# ------------------------------------------------------------------ reading


def read_images(sources: list[Path]) -> Images:
    """Read training images: CIFAR archives, folders of such archives, folders of one folder per class.

    Args:
        sources: archives (`*.tar.gz`) or folders; test splits are left alone.

    Raises:
        DataError: a source has no images.
        archives.ArchiveError: an archive is damaged.
    """
    images = Images()
    for source in sources:
        archives = sorted(source.glob("*.tar.gz")) if source.is_dir() else [source]
        for path in archives:
            _add_archive(images, load_archive(path))
        if not archives:
            _add_folder(images, source)
    return images


def channels() -> list[Path]:
    """The data channels of a SageMaker training job, in the order of their names; none elsewhere."""
    return [Path(value) for name, value in sorted(os.environ.items()) if name.startswith(CHANNEL_PREFIX)]


def _add_archive(images: Images, archive: Archive) -> None:
    images.sources[archive.path.name] = archive.sha256
    for index, name in enumerate(archive.classes):
        images.add(name, archive.train.of(index), compressed=archive.decoded_jpeg)


def _add_folder(images: Images, folder: Path) -> None:
    digest = hashlib.sha256()
    found = False
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []:
        files = sorted(path for path in kind.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        for path in files:
            digest.update(path.read_bytes())
        compressed = any(path.suffix.lower() != ".png" for path in files)
        if files:
            images.add(kind.name, np.stack([_thumbnail(path) for path in files]), compressed=compressed)
            found = True
    if not found:
        raise DataError(f"{folder}: no *.tar.gz archive and no folder per class with PNG or JPEG files in it")
    images.sources[folder.name] = digest.hexdigest()


def _thumbnail(path: Path) -> Pixels:
    """The middle square of an image, in as much detail as augmentation can use."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((DETAIL, DETAIL), Image.Resampling.BOX))


# ------------------------------------------------------------------ assembling


def assemble(images: Images, labels: list[str], *, drawings: int, clutter: int) -> TrainingSet:
    """Build the training set.

    Args:
        images: what was read.
        labels: the classes to tell apart, in the order of the answers.
        drawings: how many drawings of each kind that `drawings.py` can draw.
        clutter: how many pictures of nothing in particular.

    Raises:
        DataError: fewer than two labels, or a label without images.
    """
    _check(images, labels)
    others = sorted(set(images.by_class) - set(labels))
    outputs = [
        *labels,
        *others,
        *([DRAWN_OUTPUT] if drawings else []),
        *([CLUTTER_OUTPUT] if clutter else []),
    ]
    parts = [
        (outputs.index(name), batch, True) for name in [*labels, *others] for batch in images.by_class[name]
    ]
    for kind in KINDS if drawings else ():
        output = outputs.index(kind if kind in labels else DRAWN_OUTPUT)
        parts.append((output, Batch(_drawings(kind, drawings), compressed=False), False))
    if clutter:
        made = Batch(make_clutter(clutter, DETAIL, seed=0), compressed=False)
        parts.append((len(outputs) - 1, made, False))
    squeezed = [
        batch.pixels if batch.compressed else jpeg_round_trip(batch.pixels, _qualities(len(batch.pixels)))
        for _, batch, _ in parts
    ]
    return TrainingSet(
        labels=labels,
        outputs=outputs,
        images=torch.cat([_planes(batch.pixels) for _, batch, _ in parts]),
        compressed=torch.cat([_planes(pixels) for pixels in squeezed]),
        targets=torch.cat([torch.full((len(batch.pixels),), output) for output, batch, _ in parts]),
        real=torch.cat([torch.full((len(batch.pixels),), real) for _, batch, real in parts]),
    )


def _check(images: Images, labels: list[str]) -> None:
    if len(labels) < 2 or len(set(labels)) != len(labels):  # noqa: PLR2004 - one class is no question
        raise DataError(f"--classes needs two or more different names, not {','.join(labels)}")
    missing = [label for label in labels if label not in images.by_class]
    if missing:
        known = ", ".join(sorted(images.by_class)) or "none at all"
        raise DataError(f"no training images of {', '.join(missing)}; the data has: {known}")


def _drawings(kind: str, count: int) -> Pixels:
    """Drawings with training seeds."""
    pictures = [draw(kind, seed % FIRST_TEST_SEED, (2 * DETAIL, 2 * DETAIL)) for seed in range(count)]
    return np.stack([np.asarray(p.resize((DETAIL, DETAIL), Image.Resampling.BOX)) for p in pictures])


def _qualities(count: int) -> npt.NDArray[np.int64]:
    """Return JPEG qualities from 60 to 95 in turn, int [count]."""
    return 60 + np.arange(count) * 7 % 36


def _planes(pixels: Pixels) -> Tensor:
    """uint8 [N, H, W, 3] to [N, 3, DETAIL, DETAIL], enlarged as inference enlarges thumbnails."""
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    if planes.shape[-1] == DETAIL:
        return planes
    size = (DETAIL, DETAIL)
    parts = [
        functional.interpolate(part, size, mode="bicubic", align_corners=False, antialias=True)
        for part in planes.split(1000)
    ]
    return torch.cat(parts)


def folds(targets: Tensor, count: int, seed: int = 0) -> list[Tensor]:
    """Split indices into `count` parts that hold each class in equal shares.

    Args:
        targets: int64 [N].
        count: number of parts.
        seed: the same seed gives the same parts.

    Returns:
        A list of index tensors; together they hold every index once.
    """
    chance = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in range(count)]
    for target in targets.unique():
        where = torch.nonzero(targets == target).flatten()
        where = where[torch.randperm(len(where), generator=chance)]
        for index, part in enumerate(parts):
            part.append(where[index::count])
    return [torch.cat(part).sort().values for part in parts]
