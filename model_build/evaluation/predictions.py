"""Predictions of a model for the test images of archives and for folders of photos.

Labelled images are the archives' test images of the model's classes, and the photos in DIR/<label>/. All
other test images, and DIR/other/, are negatives: out-of-distribution images that a model must reject.

Where the images of one archive were decoded from JPEG and those of another were not, compression alone
could separate the classes from the negatives. Then negatives that were never compressed are compressed
first, and the labelled images are classified twice: as they are, and compressed for the comparison with
negatives.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from commandline.terminal import progress, visible
from model_build.archive.loaded_model import LoadedModel, UnreadableImageError
from model_build.data.cifar import Archive
from model_build.data.download import CIFAR_10, CIFAR_100, find_archive, find_if_present
from model_build.data.images import jpeg_round_trip
from model_build.errors import ArchiveError, UsageError
from model_build.evaluation.metrics import Floats, Ints

OTHER: Final = "other"
JPEG_QUALITY: Final = 75


@dataclass(frozen=True)
class Picture:
    """One encoded image to classify."""

    name: str
    body: bytes  # the bytes that the model receives
    label: str | None  # its class; None for a negative


@dataclass(frozen=True)
class Predictions:
    """The predictions for a set of pictures: N labelled ones and M negatives."""

    names: tuple[str, ...]
    probabilities: Floats  # float [N, K] of the labelled pictures
    labels: Ints  # int [N], their true classes
    negatives: Floats  # float [M, K], probabilities of the negatives
    negative_names: tuple[str, ...]
    # float [N, K] of the labelled pictures after compression, if only the negatives had been compressed
    jpeg_probabilities: Floats | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def comparable(self) -> Floats:
        """Probabilities of the labelled pictures with the compression history of the negatives, [N, K]."""
        return self.probabilities if self.jpeg_probabilities is None else self.jpeg_probabilities


def classify(model: LoadedModel, pictures: Sequence[Picture], title: str) -> Predictions:
    """Classify pictures."""
    names, rows, unreadable, labels = list[str](), list[Floats](), list[str](), list[int]()  # -1: a negative
    for picture in progress(pictures, total=len(pictures), title=title, unit="image"):
        name = visible(picture.name)  # of a file or of an archive: reports and pages show it
        try:
            rows.append(model.classify(picture.body))
        except UnreadableImageError as error:
            unreadable.append(f"{name}: {error}")
            continue
        names.append(name)
        labels.append(-1 if picture.label is None else model.labels.index(picture.label))
    probabilities, truth = np.array(rows).reshape(-1, len(model.labels)), np.array(labels, dtype=np.int64)
    known = truth >= 0
    return Predictions(
        names=tuple(compress(names, known)),
        probabilities=probabilities[known],
        labels=truth[known],
        negatives=probabilities[~known],
        negative_names=tuple(compress(names, ~known)),
        unreadable=tuple(unreadable),
    )


def default_archives() -> list[Path]:
    """Return the archives to evaluate on by default: CIFAR-100 and, if it is present, CIFAR-10."""
    try:
        return [find_archive(CIFAR_100), *find_if_present(CIFAR_10)]
    except ArchiveError as error:
        raise UsageError(f"give archives with --data; {error}") from error


def classify_archives(model: LoadedModel, archives: Sequence[Archive]) -> Predictions:
    """Classify the test images of archives; a UsageError if none has a class of the model."""
    if not any(set(model.labels) & set(archive.present) for archive in archives):
        raise UsageError(
            f"no archive has test images of {', '.join(model.labels)}; they have "
            + ", ".join(name for archive in archives for name in archive.present)
        )
    jpeg = [archive.decoded_jpeg for archive in archives]
    pictures = list(_test_pictures(model.labels, archives, compress_negatives=any(jpeg)))
    predictions = classify(model, pictures, "test images")
    if not any(jpeg) or all(jpeg) or not len(predictions.negatives):
        return predictions
    again = _test_pictures(model.labels, archives, compress_labelled=True)
    labelled = [picture for picture in again if picture.label is not None]
    return replace(
        predictions, jpeg_probabilities=classify(model, labelled, "test images as JPEG").probabilities
    )


def _test_pictures(
    labels: Sequence[str],
    archives: Sequence[Archive],
    *,
    compress_labelled: bool = False,
    compress_negatives: bool = False,
) -> Iterator[Picture]:
    """Yield the test images of archives as PNGs, compressed first if asked and not decoded from JPEG."""
    for archive in archives:
        for index, number in enumerate(archive.test.labels.tolist()):
            name = archive.classes[number]
            image = archive.test.images[index : index + 1]
            if (compress_labelled if name in labels else compress_negatives) and not archive.decoded_jpeg:
                image = jpeg_round_trip(image, JPEG_QUALITY)
            buffer = io.BytesIO()
            Image.fromarray(image[0]).save(buffer, "PNG", compress_level=1)
            label = name if name in labels else None
            yield Picture(f"{name}/{archive.test.filenames[index]}", buffer.getvalue(), label)


def classify_photos(model: LoadedModel, folders: Sequence[Path]) -> Predictions:
    """Classify the photos that `find_photos` finds in each folder, as one set."""
    pictures = []
    for folder in folders:
        of_a_set = f"{folder.name}/" if len(folders) > 1 else ""
        for path, label in find_photos(model.labels, folder):
            pictures.append(Picture(f"{of_a_set}{path.parent.name}/{path.name}", path.read_bytes(), label))
    return classify(model, pictures, "photos")


def find_photos(labels: Sequence[str], folder: Path) -> list[tuple[Path, str | None]]:
    """Return the files in `folder/<label>/` and `folder/other/` that are not hidden, each with its label.

    A UsageError: the folder does not exist, has a subfolder of another name or no photos, or something in a
    subfolder is not a file.
    """
    if not folder.is_dir():
        raise UsageError(f"--photos {folder}: no such folder")
    expected = f"{', '.join(labels)} or {OTHER}"
    found = []
    for group in filter(Path.is_dir, _visible(folder)):  # not a README beside them, say
        if group.name not in {*labels, OTHER}:
            raise UsageError(f"{group}: photos are in folders named {expected}; rename this folder")
        for path in _visible(group):
            if not path.is_file():
                raise UsageError(f"{path}: not a file; put the photos directly into {group}")
            found.append((path, group.name if group.name in labels else None))
    if not found:
        raise UsageError(f"--photos {folder}: no photos in folders named {expected}")
    return found


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
