"""What the pretrained networks compute of photos, and of copies as phones make them: blurred, dark, turned.

A head that is fitted on them too holds better on such photos, at no cost when it answers.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFilter

from commandline.terminal import progress
from model_build.evaluation.metrics import Bools, Floats, Ints
from model_build.learning.photos import Photos
from model_build.serving import inference

PASSES: Final = 2_000  # through the networks, of all copies: about a minute on two cores
Random = np.random.Generator
Copy = Callable[[Image.Image, Random], Image.Image]


def moved(image: Image.Image, random: Random) -> Image.Image:
    """Blur along a line of 3 to 10 % of the shorter side, at any angle."""
    length = max(3, round(random.uniform(0.03, 0.10) * min(image.size)))
    angle = random.uniform(0, np.pi)
    pixels = np.asarray(image, np.float32)
    total = np.zeros_like(pixels)
    for step in np.linspace(-length / 2, length / 2, length):
        across, down = round(step * np.cos(angle)), round(step * np.sin(angle))
        total += np.roll(pixels, (down, across), axis=(0, 1))
    return Image.fromarray((total / length).astype(np.uint8))


def unfocused(image: Image.Image, random: Random) -> Image.Image:
    """Blur by 0.8 to 1.6 % of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.008, 0.016) * min(image.size)))


def dark(image: Image.Image, random: Random) -> Image.Image:
    """Take 70 to 88 % of the light, and add a sensor's noise."""
    pixels = np.asarray(image, np.float32) * random.uniform(0.12, 0.3)
    return Image.fromarray((pixels + random.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8))


def small(image: Image.Image, _random: Random) -> Image.Image:
    """Keep a quarter of the resolution."""
    return image.resize((max(1, image.width // 4), max(1, image.height // 4)), Image.Resampling.BOX)


def nearer(image: Image.Image, random: Random) -> Image.Image:
    """Cut out 75 to 95 % of each side, anywhere."""
    share = random.uniform(0.75, 0.95)
    width, height = max(1, int(image.width * share)), max(1, int(image.height * share))
    left, top = random.integers(0, image.width - width + 1), random.integers(0, image.height - height + 1)
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def mirrored(image: Image.Image, _random: Random) -> Image.Image:
    """Swap left and right."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def turned(image: Image.Image, random: Random) -> Image.Image:
    """Turn by 90, 180 or 270 degrees."""
    return image.transpose(inference.TURNS[int(random.integers(len(inference.TURNS)))])


WORSE: Final[tuple[Copy, ...]] = (moved, unfocused, dark, small, nearer)
# Vehicles are what they are from any side; an arrow is not: only labels that networks know as objects.
OBJECTS: Final[tuple[Copy, ...]] = (*WORSE, mirrored, turned, turned, turned)


@dataclass(frozen=True)
class Features:
    """What the networks compute of N photos and of their copies: M rows, the first N of the photos."""

    rows: Floats  # [M, D]
    offset: Floats  # the experts' logits, [M, outputs]
    confused: Bools  # whether each label is confused with something else, [N, labels]; see `inference.Look`
    photo: Ints  # the photo of each row, [M]


def compute(model: inference.Model, view: Mapping[str, Any], photos: Photos, seed: int) -> Features:
    """Run a view's networks, loaded in the model, on photos and as many copies as `PASSES` allow."""
    known, count = "experts" in view, len(photos.images)
    kinds = OBJECTS if known else WORSE
    each = min(len(kinds), max(1, PASSES // count - 1))
    jobs: list[tuple[int, Copy | None]] = [(number, None) for number in range(count)]
    for number in range(count):
        chosen = np.random.default_rng([seed, number]).permutation(len(kinds))[:each]
        jobs += [(number, kinds[kind]) for kind in sorted(chosen.tolist())]

    def one(row: int) -> inference.Look:
        number, copy = jobs[row]
        image = photos.images[number]
        shown = copy(image, np.random.default_rng([seed, number, row])) if copy else image
        return inference.look(model, shown, dict(view))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(one, range(len(jobs)))
        looks = list(progress(found, total=len(jobs), title="computing features", unit="image"))
    return Features(
        rows=np.array([one.features for one in looks]),
        offset=np.array([one.offset for one in looks]) if known else np.zeros((len(jobs), photos.outputs)),
        confused=np.array([one.confused for one in looks[:count]]),
        photo=np.array([number for number, _ in jobs]),
    )
