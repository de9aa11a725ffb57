"""Labelled photos in folders named for their classes, read and checked before anything is learned."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from commandline.terminal import plural, progress
from model_build.data.images import is_held_out, photo_digest
from model_build.errors import UsageError
from model_build.evaluation.metrics import Ints
from model_build.evaluation.predictions import OTHER
from model_build.serving.inference import BadRequest, decode

LABEL: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")  # as the template's parameter ClassLabels takes them
FEWEST: Final = 10  # photos of a class
HASH_SIDE: Final = 8
NEAR: Final = 4  # differing bits of 64: the same picture, saved again
SHOWN: Final = 5


@dataclass(frozen=True)
class Photos:
    """N labelled photos."""

    labels: tuple[str, ...]  # in the order of the answer
    names: tuple[str, ...]  # `<label>/<file>`
    images: tuple[Image.Image, ...]  # upright, as the endpoint decodes them
    classes: Ints  # indices of labels, [N]; `len(labels)` for a photo of none of them
    digests: tuple[str, ...]  # of the files, see `photo_digest`
    groups: Ints  # equal for near-duplicates and for files of one subfolder, [N]

    @property
    def outputs(self) -> int:
        """Number of classes, that of no label included if it has photos."""
        return int(self.classes.max()) + 1

    def counts(self) -> dict[str, int]:
        """Return the number of photos by folder name."""
        names = [*self.labels, OTHER]
        return {names[number]: count for number, count in sorted(Counter(self.classes.tolist()).items())}


def read_labelled(
    folders: Sequence[Path], order: Sequence[str] = (), hold_out: float = 0.0
) -> tuple[Photos, tuple[str, ...]]:
    """Read `<folder>/<label>/**` and `<folder>/other/**`; equal files are taken once.

    The labels have the given order, if it is of these; otherwise they are sorted. Left out is the share of
    photos that their content holds out of every training. Returns, too, a message for each file that is no
    readable image. A UsageError: fewer than two classes, a class with too few photos, a name that cannot be a
    label, or the same photo in two classes.
    """
    files = [found for folder in folders for found in _files(folder)]
    names = sorted({label for _, label, _ in files} - {OTHER})
    _check_labels(names, folders)
    names = list(order) if set(order) == set(names) else names
    first: dict[str, str] = {}
    kept: list[tuple[str, str, str, str, Image.Image]] = []  # title, label, subfolder, digest, image
    unreadable, conflicts = [], []
    for path, label, sub in progress(files, total=len(files), title="reading photos", unit="photo"):
        body, title = path.read_bytes(), f"{label}/{path.name}"
        digest = photo_digest(body)
        if digest in first:
            if first[digest] != label:
                conflicts.append(f"{title} is also in {first[digest]}/")
            continue
        first[digest] = label
        if is_held_out(digest, hold_out):
            continue
        try:
            kept.append((title, label, sub, digest, decode(body)))
        except BadRequest as error:
            unreadable.append(f"{path}: {error}")
    if conflicts:
        more = [f"and {len(conflicts) - SHOWN} more"] if len(conflicts) > SHOWN else []
        raise UsageError(
            f"{plural(len(conflicts), 'photo')} in two classes, which one is right? "
            + "; ".join(conflicts[:SHOWN] + more)
        )
    counts = Counter(label for _, label, *_ in kept)
    if few := [f"{name} has {counts[name]}" for name in names if counts[name] < FEWEST]:
        raise UsageError(f"each class needs {FEWEST} different readable photos or more: {', '.join(few)}")
    titles, found, subfolders, digests, images = zip(*kept, strict=True)
    classes = np.array([[*names, OTHER].index(label) for label in found])
    photos = Photos(tuple(names), titles, images, classes, digests, _groups(subfolders, images))
    return photos, tuple(unreadable)


def _files(folder: Path) -> list[tuple[Path, str, str]]:
    """Return files, each with its label and its subfolder ("" if it lies in the label's folder itself)."""
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if len(parts) > 1 and path.is_file() and not any(part.startswith((".", "@")) for part in parts):
            sub = str(path.parent) if len(parts) > 2 else ""  # noqa: PLR2004 - label/sub/file
            found.append((path, parts[0], sub))
    return found


def _check_labels(names: Sequence[str], folders: Sequence[Path]) -> None:
    where = ", ".join(map(str, folders))
    if len(names) < 2:  # noqa: PLR2004
        have = f"only {names[0]}" if names else "none"
        raise UsageError(
            f"{where}: two classes or more are needed, each a folder of photos, and there is {have}; "
            f"photos of none of the classes go into {OTHER}/"
        )
    for name in names:
        if not LABEL.fullmatch(name):
            raise UsageError(
                f"{where}: the folder {name!r} cannot be a label; rename it to small letters, digits, - and _"
            )


def _groups(subfolders: Sequence[str], images: Sequence[Image.Image]) -> Ints:
    """Return group numbers: photos of one subfolder and near-duplicates share one.

    Near-duplicates have nearly the same signs of horizontal brightness differences, 64 bits (dHash).
    """
    parent = list(range(len(images)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    first: dict[str, int] = {}
    for number, sub in enumerate(subfolders):
        if sub:
            parent[root(number)] = root(first.setdefault(sub, number))
    size = (HASH_SIDE + 1, HASH_SIDE)
    small = np.array(
        [np.asarray(image.convert("L").resize(size, Image.Resampling.BOX), np.int16) for image in images]
    )
    bits = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(images), -1)
    for number in range(1, len(images)):
        for near in np.flatnonzero((bits[:number] != bits[number]).sum(axis=1) <= NEAR):
            parent[root(number)] = root(int(near))
    return np.array([root(number) for number in range(len(images))])
