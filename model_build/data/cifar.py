"""Read CIFAR archives in their "python" layout (https://www.cs.toronto.edu/~kriz/cifar.html).

An archive is a tar.gz of pickles, which `cifar_pickle` reads safely.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model_build.data import cifar_pickle
from model_build.data.extract import ExtractionError, Limits, digest, read_files
from model_build.errors import ArchiveError

SIDE: Final = 32
LIMITS: Final = Limits(members=1000, total_bytes=1 << 30)  # the real archives have 186 MB at most
FILES: Final = ("meta", "train", "test", "batches.meta", "data_batch", "test_batch")  # or beginnings of names


@dataclass(frozen=True)
class Split:
    """Images of one split with their labels."""

    images: npt.NDArray[np.uint8]  # uint8 [N, 32, 32, 3], RGB
    labels: npt.NDArray[np.int64]  # int64 [N], indices into the archive's `classes`
    filenames: tuple[str, ...]

    def of(self, label: int) -> npt.NDArray[np.uint8]:
        """Return the images of one class, uint8 [n, 32, 32, 3]."""
        chosen: npt.NDArray[np.uint8] = self.images[self.labels == label]
        return chosen


@dataclass(frozen=True)
class Archive:
    """A data set as read from one file."""

    path: Path
    sha256: str  # hexadecimal digest of the file
    classes: tuple[str, ...]
    train: Split
    test: Split

    @property
    def present(self) -> tuple[str, ...]:
        """The names of the classes that have images: an archive may hold a part of a data set."""
        labels = set(self.train.labels.tolist()) | set(self.test.labels.tolist())
        return tuple(name for index, name in enumerate(self.classes) if index in labels)

    @property
    def decoded_jpeg(self) -> bool:
        """Whether the images were decoded from JPEG files, judged by their own file names."""
        names = self.train.filenames + self.test.filenames
        return any(name.lower().endswith((".jpg", ".jpeg")) for name in names)


def load_archive(path: Path) -> Archive:
    """Read a CIFAR-10 or CIFAR-100 archive, or one made in the same layout; an ArchiveError if it is not."""
    if not path.is_file():
        raise ArchiveError(f"{path}: no such file")
    try:
        files = read_files(path, lambda name: PurePosixPath(name).name.startswith(FILES), LIMITS)
    except ExtractionError as error:
        raise ArchiveError(f"{error}: not a CIFAR archive (tar.gz); download it again") from error
    members = {PurePosixPath(name).name: content for name, content in files.items()}
    if "meta" in members:
        meta, names_key, label_key = "meta", "fine_label_names", "fine_labels"
        train, test = ["train"], ["test"]
    elif "batches.meta" in members:
        meta, names_key, label_key = "batches.meta", "label_names", "labels"
        train = sorted(name for name in members if name.startswith("data_batch")) or ["data_batch_1"]
        test = ["test_batch"]
    else:
        raise ArchiveError(
            f"{path}: neither a CIFAR-100 archive (meta, train, test) nor a CIFAR-10 archive "
            "(batches.meta, data_batch_*, test_batch) in python layout"
        )

    def unpickled(name: str) -> dict[str, Any]:
        if name not in members:
            raise ArchiveError(f"{path}: {name} is missing; the archive is incomplete, download it again")
        return cifar_pickle.load(members[name], f"{path}: {name}")

    classes = cifar_pickle.texts(unpickled(meta).get(names_key))
    if not classes:
        raise ArchiveError(f"{path}: {meta} has no list of names {names_key}")

    def split(names: Sequence[str]) -> Split:
        parts = [_read_batch(unpickled(one), label_key, len(classes), f"{path}: {one}") for one in names]
        return Split(
            images=np.concatenate([part.images for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            filenames=tuple(name for part in parts for name in part.filenames),
        )

    return Archive(path, digest(path), classes, split(train), split(test))


def _read_batch(content: dict[str, Any], label_key: str, classes: int, where: str) -> Split:
    pixels, row = content.get("data"), 3 * SIDE**2
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (len(pixels), row):
        raise ArchiveError(f"{where}: data is not an array of bytes [N, {row}]")
    numbers = content.get(label_key)
    # A list of lists in lists would make numpy's array as large as their product.
    flat = isinstance(numbers, list) and all(isinstance(one, int) for one in numbers)
    labels = np.asarray(numbers if flat or isinstance(numbers, np.ndarray) else None)
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu":
        raise ArchiveError(f"{where}: {label_key} does not hold one integer for each of {len(pixels)} images")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ArchiveError(f"{where}: {label_key} has numbers outside 0 to {classes - 1}")
    filenames = cifar_pickle.texts(content.get("filenames") or [f"{i:05d}.png" for i in range(len(pixels))])
    if filenames is None or len(filenames) != len(pixels):
        raise ArchiveError(f"{where}: filenames does not hold one name for each of {len(pixels)} images")
    # The data set stores a red plane, a green plane and a blue plane per image.
    images = np.ascontiguousarray(pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    return Split(images, labels.astype(np.int64), filenames)
