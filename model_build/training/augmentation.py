"""Augmentation: make thumbnails look like photos, with variation in pose, scale, light, occlusion and focus.

Every operation is of a whole batch and draws from one generator, so that equal seeds give equal models.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from model_build.training.recipe import Augmentation


def augment(
    images: Tensor, backgrounds: Tensor, side: int, how: Augmentation, random: torch.Generator
) -> Tensor:
    """Augment images in 0..1, [N, 3, H, W], and resize them to the network's input, [N, 3, side, side]."""
    images = change_light(images, how, random)
    images = erase(images, backgrounds, how, random)
    images = transform(images, backgrounds, side, how, random)
    return change_focus(images, how, random).clamp_(0, 1)


def _uniform(count: int, low: float, high: float, random: torch.Generator) -> Tensor:
    return torch.rand(count, generator=random) * (high - low) + low


def _choose(count: int, probability: float, random: torch.Generator) -> Tensor:
    return torch.rand(count, generator=random) < probability


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def change_light(images: Tensor, how: Augmentation, random: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation; make some images grey and some dark."""
    count = len(images)

    def factor() -> Tensor:
        return _per_image(_uniform(count, -how.light, how.light, random).exp())

    images = images * factor()
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * factor() + middle
    saturation = torch.where(_per_image(_choose(count, how.grey_share, random)), 0.0, factor())
    grey = images.mean(1, keepdim=True)
    images = ((images - grey) * saturation + grey).clamp_(0, 1)
    gamma = torch.where(_choose(count, how.night_share, random), _uniform(count, 1.3, 2.6, random), 1.0)
    return images.clamp_min(1e-4) ** _per_image(gamma)


def erase(images: Tensor, backgrounds: Tensor, how: Augmentation, random: torch.Generator) -> Tensor:
    """Cover a random square of every image with grey or with a piece of another image (random erasing)."""
    count, _, height, width = images.shape
    half = how.cutout * height / 2
    top = _per_image(_uniform(count, half, height - half, random))
    left = _per_image(_uniform(count, half, width - half, random))
    rows = torch.arange(height)[None, None, :, None] + 0.5
    columns = torch.arange(width)[None, None, None, :] + 0.5
    covered = ((rows - top).abs() < half) & ((columns - left).abs() < half)
    occluded = _per_image(_choose(count, how.occlude_share, random))
    return torch.where(covered, torch.where(occluded, backgrounds, 0.5), images)


def transform(
    images: Tensor, backgrounds: Tensor, side: int, how: Augmentation, random: torch.Generator
) -> Tensor:
    """Flip and move images, turn and zoom some, and resize; beyond an edge lies padding or another image."""
    count = len(images)
    affine = _choose(count, how.turn_share, random)
    zoom_range = math.log(how.zoom_in / how.zoom_out)
    zoom = torch.where(affine, (_uniform(count, 0, zoom_range, random)).exp() * how.zoom_out, 1.0)
    angle = torch.where(affine, _uniform(count, -how.turn, how.turn, random), 0.0).deg2rad()
    stretch = torch.where(affine, _uniform(count, -0.2, 0.2, random), 0.0).exp()
    flip = torch.where(_choose(count, 0.5, random), -1.0, 1.0)
    reach = torch.where(affine, (1 - zoom).abs() + 0.2, 2 * how.shift)  # a smaller object may move further
    shift = torch.stack([_uniform(count, -1, 1, random) * reach for _ in range(2)], 1)[:, :, None]
    cos, sin = angle.cos(), angle.sin()
    across = torch.stack([cos / (zoom * stretch), -sin / (zoom * stretch)], 1) * flip[:, None]
    down = torch.stack([sin / zoom * stretch, cos / zoom * stretch], 1)
    matrix = torch.stack([across, down], 1)
    theta = torch.cat([matrix, -(matrix @ shift)], 2)
    grid = functional.affine_grid(theta, [count, 3, side, side], align_corners=False)
    padding = "reflection" if torch.rand((), generator=random) < 0.5 else "border"  # noqa: PLR2004 - a coin
    placed = functional.grid_sample(images, grid, padding_mode=padding, align_corners=False)
    small = zoom < 0.9  # noqa: PLR2004 - otherwise too little of the background shows
    paste = affine & small & _choose(count, how.paste_share, random)
    beyond = (grid[paste].abs().amax(3) > 1)[:, None]
    placed[paste] = torch.where(beyond, resize(backgrounds[paste], side), placed[paste])
    return placed


def resize(images: Tensor, side: int) -> Tensor:
    """Resize images in 0..1 to [N, 3, side, side], as inference resizes a thumbnail."""
    resized = functional.interpolate(images, (side, side), mode="bicubic", antialias=True)
    return resized.clamp_(0, 1)


def change_focus(images: Tensor, how: Augmentation, random: torch.Generator) -> Tensor:
    """Blur some images, sharpen some, and add noise to some."""
    count = len(images)
    blur = _choose(count, how.blur_share, random)
    images[blur] = _box_blur(images[blur], 5)
    sharp = _choose(count, how.sharp_share, random)
    strength = _per_image(_uniform(int(sharp.sum()), 0, 4, random))
    images[sharp] += (images[sharp] - _box_blur(images[sharp], 3)) * strength
    noisy = _choose(count, how.noise_share, random)
    strength = _per_image(_uniform(int(noisy.sum()), 0, 0.08, random))
    images[noisy] += torch.randn(images[noisy].shape, generator=random) * strength
    return images


def _box_blur(images: Tensor, size: int) -> Tensor:
    """Return the mean of the `size` x `size` neighbourhood of each pixel."""
    if not len(images):
        return images
    margin = size // 2
    return functional.avg_pool2d(functional.pad(images, (margin,) * 4, mode="replicate"), size, 1)
