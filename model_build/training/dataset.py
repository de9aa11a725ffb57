"""Assemble the training set: labelled images, negatives, drawings and textures as one set of tensors.

The network has one output per label, then one per negative class, one for drawings of other things and one
for textures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from model_build.data.drawings import KINDS, draw
from model_build.data.images import Pixels, jpeg_round_trip
from model_build.data.textures import make_textures
from model_build.training.images import DETAIL, DataError, Group, Images

# Names of outputs in manifest.json.
DRAWN_OUTPUT: Final = "drawing of something else"
TEXTURE_OUTPUT: Final = "nothing in particular"
DRAWINGS_PER_KIND: Final = 300  # below `FIRST_TEST_SEED`
TEXTURES: Final = 1500
CHUNK: Final = 1000  # images resized at a time
MIN_LABELS: Final = 2


@dataclass(frozen=True)
class TrainingSet:
    """Everything that the network learns from."""

    labels: list[str]
    outputs: list[str]
    images: Tensor  # uint8 [N, 3, DETAIL, DETAIL]
    compressed: Tensor  # the same after JPEG compression
    targets: Tensor  # int64 [N], indices into `outputs`
    real: Tensor  # bool [N], false for drawings and textures

    def part(self, chosen: Tensor) -> "TrainingSet":
        """Return the images at these indices."""
        tensors = (self.images, self.compressed, self.targets, self.real)
        return TrainingSet(self.labels, self.outputs, *(one[chosen] for one in tensors))


def assemble(images: Images, labels: Sequence[str]) -> TrainingSet:
    """Build the training set; a DataError for fewer than two labels, or a label without images."""
    if len(labels) < MIN_LABELS or len(set(labels)) != len(labels):
        raise DataError(f"--classes {','.join(labels)}: give two or more different names")
    if missing := [label for label in labels if label not in images.by_class]:
        known = ", ".join(sorted(images.by_class)) or "no classes"
        raise DataError(f"no training images of {', '.join(missing)}; the data has {known}")
    negatives = sorted(set(images.by_class) - set(labels))
    outputs = [*labels, *negatives, DRAWN_OUTPUT, TEXTURE_OUTPUT]
    parts = [(name, group, True) for name in [*labels, *negatives] for group in images.by_class[name]]
    for kind in KINDS:
        pictures = [draw(kind, seed, (2 * DETAIL, 2 * DETAIL)) for seed in range(DRAWINGS_PER_KIND)]
        small = [np.asarray(one.resize((DETAIL, DETAIL), Image.Resampling.BOX)) for one in pictures]
        name = kind if kind in labels else DRAWN_OUTPUT
        parts.append((name, Group(np.stack(small), compressed=False), False))
    textures = Group(make_textures(TEXTURES, DETAIL, seed=0), compressed=False)
    parts.append((TEXTURE_OUTPUT, textures, False))
    compressed = [  # at qualities from 60 to 95 in turn
        pixels if was else jpeg_round_trip(pixels, 60 + np.arange(len(pixels)) * 7 % 36)
        for pixels, was in ((group.pixels, group.compressed) for _, group, _ in parts)
    ]
    return TrainingSet(
        labels=list(labels),
        outputs=outputs,
        images=torch.cat([_planes(group.pixels) for _, group, _ in parts]),
        compressed=torch.cat([_planes(pixels) for pixels in compressed]),
        targets=torch.cat(
            [torch.full((len(group.pixels),), outputs.index(name)) for name, group, _ in parts]
        ),
        real=torch.cat([torch.full((len(group.pixels),), real) for _, group, real in parts]),
    )


def _planes(pixels: Pixels) -> Tensor:
    """Convert uint8 [N, H, W, 3] to [N, 3, DETAIL, DETAIL], resized as inference resizes thumbnails."""
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    if planes.shape[-1] == DETAIL:
        return planes
    size = (DETAIL, DETAIL)
    parts = planes.split(CHUNK)
    return torch.cat([functional.interpolate(one, size, mode="bicubic", antialias=True) for one in parts])
