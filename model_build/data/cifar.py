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
from model_build.data.digests import digest
from model_build.data.extract import ExtractionError, Limits, read_files
from model_build.errors import ArchiveError

SIDE: Final = 32
LIMITS: Final = Limits(members=1000, total_bytes=1 << 30)  # the real archives have 186 MB at most


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
        """Whether the images were decoded from JPEG files, judged by their own file names (see `jpeg`)."""
        return any(
            name.lower().endswith((".jpg", ".jpeg")) for name in self.train.filenames + self.test.filenames
        )


def load_archive(path: Path) -> Archive:
    """Read a CIFAR-10 or CIFAR-100 archive, or one made in the same layout; an ArchiveError if it is not."""
    if not path.is_file():
        raise ArchiveError(f"{path}: no such file")
    members = _read_members(path)
    if "meta" in members:
        label_key, classes = "fine_labels", _class_names(members, "meta", "fine_label_names", path)
        train, test = ["train"], ["test"]
    elif "batches.meta" in members:
        label_key, classes = "labels", _class_names(members, "batches.meta", "label_names", path)
        train, test = sorted(name for name in members if name.startswith("data_batch")), ["test_batch"]
    else:
        raise ArchiveError(
            f"{path}: neither a CIFAR-100 archive (meta, train, test) nor a CIFAR-10 archive "
            "(batches.meta, data_batch_*, test_batch) in python layout"
        )
    return Archive(
        path=path,
        sha256=digest(path),
        classes=classes,
        train=_read_split(members, train, label_key, len(classes), path),
        test=_read_split(members, test, label_key, len(classes), path),
    )


def _wanted(path: str) -> bool:
    name = PurePosixPath(path).name
    return name in {"meta", "train", "test", "batches.meta", "test_batch"} or name.startswith("data_batch")


def _read_members(path: Path) -> dict[str, bytes]:
    """Return the archive's data files by their base names; other files (readme) are skipped."""
    try:
        files = read_files(path, _wanted, LIMITS)
    except ExtractionError as error:
        raise ArchiveError(f"{error}: not a CIFAR archive (tar.gz); download it again") from error
    return {PurePosixPath(path).name: content for path, content in files.items()}


def _unpickle(members: dict[str, bytes], name: str, path: Path) -> dict[str, Any]:
    if name not in members:
        raise ArchiveError(f"{path}: {name} is missing; the archive is incomplete, download it again")
    return cifar_pickle.load(members[name], f"{path}: {name}")


def _class_names(members: dict[str, bytes], name: str, key: str, path: Path) -> tuple[str, ...]:
    names = cifar_pickle.texts(_unpickle(members, name, path).get(key))
    if not names:
        raise ArchiveError(f"{path}: {name} has no list of names {key}")
    return names


def _read_split(
    members: dict[str, bytes], names: Sequence[str], label_key: str, classes: int, path: Path
) -> Split:
    if not names:
        raise ArchiveError(f"{path}: data_batch_1 is missing; the archive is incomplete, download it again")
    parts = [
        _read_batch(_unpickle(members, name, path), label_key, classes, f"{path}: {name}") for name in names
    ]
    return Split(
        images=np.concatenate([part.images for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        filenames=tuple(name for part in parts for name in part.filenames),
    )


def _read_batch(content: dict[str, Any], label_key: str, classes: int, where: str) -> Split:
    pixels = content.get("data")
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape != (len(pixels), 3 * SIDE**2)
    ):
        raise ArchiveError(f"{where}: data is not an array of bytes [N, {3 * SIDE**2}]")
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
