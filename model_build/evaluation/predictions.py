"""What a model answers to archives' test images and to folders of photos.

Labelled images are the test images of the archives' classes that the model knows, and the photos in
DIR/<label>/. Everything else in the archives' test splits, and DIR/other/, is "other": what a model must not
accept. The training images of the archives are not looked at.

Where one archive's images once were JPEGs and another's were not, compression alone could tell vehicles from
others. Then like is compared with like: other images that never saw JPEG are compressed first, and the
labelled images are asked about twice, as they are and compressed.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from tqdm import tqdm

from model_build.artifact.loaded_model import LoadedModel, UnreadableImageError
from model_build.data.cifar import Archive
from model_build.data.jpeg import jpeg_round_trip
from model_build.errors import UsageError
from model_build.evaluation.metrics import Floats, Ints

OTHER: Final = "other"
JPEG_QUALITY: Final = 75


@dataclass(frozen=True)
class Picture:
    """One encoded image to measure.

    Attributes:
        name: what reports call it.
        body: the bytes that go to the model.
        label: its class, None for an image of none of the model's classes.
    """

    name: str
    body: bytes
    label: str | None


@dataclass
class Answers:
    """What a model said about a set of pictures.

    Attributes:
        names: of the labelled pictures, N of them.
        probabilities: float [N, K] of the labelled pictures.
        labels: int [N], their right columns.
        others: float [M, K], of the pictures of none of the classes.
        other_names: of those, M of them.
        jpeg_probabilities: float [N, K] of the labelled pictures after compression, where the others were
            compressed and they were not; else None.
        unreadable: one message per picture that the model did not take for an image.
    """

    names: list[str]
    probabilities: Floats
    labels: Ints
    others: Floats
    other_names: list[str]
    jpeg_probabilities: Floats | None = None
    unreadable: list[str] = field(default_factory=list)


def answers_for(model: LoadedModel, pictures: Sequence[Picture], title: str) -> Answers:
    """Ask the model about every picture.

    Args:
        model: the model.
        pictures: labelled and other ones in any order; labels are the model's.
        title: of the progress bar.
    """
    known: list[tuple[str, Floats, int]] = []
    others: list[tuple[str, Floats]] = []
    unreadable: list[str] = []
    for picture in tqdm(pictures, desc=title, unit="image", disable=None):
        try:
            probabilities = model.classify(picture.body)
        except UnreadableImageError as exc:
            unreadable.append(f"{picture.name}: {exc}")
            continue
        if picture.label is None:
            others.append((picture.name, probabilities))
        else:
            known.append((picture.name, probabilities, model.labels.index(picture.label)))
    width = len(model.labels)
    return Answers(
        names=[name for name, _, _ in known],
        probabilities=np.array([row for _, row, _ in known]).reshape(-1, width),
        labels=np.array([label for _, _, label in known], dtype=np.int64),
        others=np.array([row for _, row in others]).reshape(-1, width),
        other_names=[name for name, _ in others],
        unreadable=unreadable,
    )


def archive_answers(model: LoadedModel, archives: Sequence[Archive]) -> Answers:
    """Ask the model about the test images of archives.

    Raises:
        UsageError: no archive has a class of the model.
    """
    if not any(set(model.labels) & set(archive.present) for archive in archives):
        raise UsageError(
            f"no archive has test images of {', '.join(model.labels)}; they have "
            + ", ".join(name for archive in archives for name in archive.present)
        )
    alike = any(archive.decoded_jpeg for archive in archives)
    pictures = [
        picture
        for archive in archives
        for picture in _test_pictures(model.labels, archive, compress_others=alike)
    ]
    answers = answers_for(model, pictures, "test images")
    if alike and not all(archive.decoded_jpeg for archive in archives) and len(answers.others):
        compressed = [
            picture
            for archive in archives
            for picture in _test_pictures(model.labels, archive, compress_known=True)
            if picture.label is not None
        ]
        again = answers_for(model, compressed, "the same as JPEG")
        answers.jpeg_probabilities = again.probabilities
    return answers


def _test_pictures(
    labels: Sequence[str], archive: Archive, *, compress_known: bool = False, compress_others: bool = False
) -> Iterator[Picture]:
    """The test images of an archive as PNGs, compressed before where asked and not done already."""
    for index, number in enumerate(archive.test.labels.tolist()):
        name = archive.classes[number]
        image = archive.test.images[index : index + 1]
        if (compress_known if name in labels else compress_others) and not archive.decoded_jpeg:
            image = jpeg_round_trip(image, JPEG_QUALITY)
        buffer = io.BytesIO()
        Image.fromarray(image[0]).save(buffer, "PNG", compress_level=1)
        label = name if name in labels else None
        yield Picture(f"{name}/{archive.test.filenames[index]}", buffer.getvalue(), label)


def photo_pictures(labels: Sequence[str], folder: Path) -> list[Picture]:
    """The photos in `folder/<label>/` and `folder/other/`, by name.

    Raises:
        UsageError: the folder does not exist, has a folder of another name, or has no photos.
    """
    if not folder.is_dir():
        raise UsageError(f"--photos {folder}: there is no such folder")
    pictures = []
    for group in sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."):
        if group.name not in {*labels, OTHER}:
            raise UsageError(
                f"{group}: photos lie in folders named {', '.join(labels)} or {OTHER}; rename this one"
            )
        label = group.name if group.name in labels else None
        pictures += [
            Picture(f"{group.name}/{path.name}", path.read_bytes(), label)
            for path in sorted(group.iterdir())
            if path.is_file() and path.name[0] != "."
        ]
    if not pictures:
        raise UsageError(f"--photos {folder}: there are no photos in folders {', '.join(labels)} or {OTHER}")
    return pictures
