"""Makes a thumbnail look like a driver's photo: turned, off-centre, far away, dark, half hidden.

Everything works on a whole batch of tensors and draws its chances from one generator, so that one seed gives
one model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """How strongly images are changed; every `*_share` is a probability per image.

    Attributes:
        shift: pixels an image moves at most when it is not turned.
        turn_share: how many are turned, zoomed and moved freely.
        turn: degrees at most.
        zoom_out: smallest size of the thing, as a share of its size.
        zoom_in: largest size.
        paste_share: how many of those that shrink stand on another picture, not on their own mirrored edge.
        light: brightness, contrast and saturation change by exp(+-light).
        night_share: how many are made dark by a gamma curve.
        grey_share: how many lose their colours.
        blur_share: how many are blurred.
        noise_share: how many get noise.
        cutout: side in pixels of the square that hides a part.
        occlude_share: how many of these squares show another picture instead of grey.
    """

    shift: int = 4
    turn_share: float = 0.6
    turn: float = 20.0
    zoom_out: float = 0.5
    zoom_in: float = 1.5
    paste_share: float = 0.5
    light: float = 0.3
    night_share: float = 0.1
    grey_share: float = 0.08
    blur_share: float = 0.15
    noise_share: float = 0.15
    cutout: int = 10
    occlude_share: float = 0.5


def augment(images: Tensor, others: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Change every image of a batch at random.

    Args:
        images: float in 0..1, shape [N, 3, H, W].
        others: pictures of other things, same shape: backgrounds and what stands in front.
        how: how strongly.
        chance: source of all randomness.

    Returns:
        A new batch, same shape, float in 0..1.
    """
    images = place(images, others, how, chance)
    images = hide(images, others, how, chance)
    images = light(images, how, chance)
    return spoil(images, how, chance).clamp_(0, 1)


def _uniform(count: int, low: float, high: float, chance: torch.Generator) -> Tensor:
    return torch.rand(count, generator=chance) * (high - low) + low


def _some(count: int, share: float, chance: torch.Generator) -> Tensor:
    return torch.rand(count, generator=chance) < share


def place(images: Tensor, others: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Mirror half of the images; move some by whole pixels; turn, zoom and move the others freely."""
    count, _, height, width = images.shape
    free = _some(count, how.turn_share, chance)
    log_zoom = _uniform(count, 0, 1, chance) * torch.tensor(how.zoom_in / how.zoom_out).log()
    zoom = torch.where(free, log_zoom.exp() * how.zoom_out, 1.0)
    angle = torch.where(free, _uniform(count, -how.turn, how.turn, chance), 0.0).deg2rad()
    stretch = torch.where(free, _uniform(count, -0.2, 0.2, chance), 0.0).exp()
    mirror = torch.where(_some(count, 0.5, chance), -1.0, 1.0)
    # A shrunken thing may move as far as it stays in view; a thing of full size by whole pixels, which keeps
    # its pixels as sharp as they were.
    reach = (1 - zoom).abs() + 0.25
    step = 2 * how.shift / width
    moves = [
        torch.where(
            free,
            _uniform(count, -1, 1, chance) * reach,
            (_uniform(count, -step, step, chance) * width / 2).round() * 2 / width,
        )
        for _ in range(2)
    ]
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack(
        [
            torch.stack([cos / (zoom * stretch), -sin / (zoom * stretch)], 1) * mirror[:, None],
            torch.stack([sin / zoom * stretch, cos / zoom * stretch], 1),
        ],
        1,
    )
    move = torch.stack(moves, 1)[:, :, None]
    theta = torch.cat([theta, -(theta @ move)], 2)
    grid = functional.affine_grid(theta, [count, 3, height, width], align_corners=False)
    edge = "reflection" if torch.rand((), generator=chance) < 0.5 else "border"  # noqa: PLR2004 - a coin
    placed = functional.grid_sample(images, grid, padding_mode=edge, align_corners=False)
    paste = free & (zoom < 0.9) & _some(count, how.paste_share, chance)  # noqa: PLR2004 - too little to see
    outside = (grid.abs().amax(3) > 1)[:, None] & paste[:, None, None, None]
    return torch.where(outside, others, placed)


def hide(images: Tensor, others: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Cover a square of every image: by grey, or by a piece of another picture."""
    count, _, height, width = images.shape
    half = how.cutout / 2
    top = _uniform(count, half, height - half, chance)[:, None, None, None]
    left = _uniform(count, half, width - half, chance)[:, None, None, None]
    rows = torch.arange(height)[None, None, :, None] + 0.5
    columns = torch.arange(width)[None, None, None, :] + 0.5
    covered = ((rows - top).abs() < half) & ((columns - left).abs() < half)
    picture = _some(count, how.occlude_share, chance)[:, None, None, None]
    return torch.where(covered, torch.where(picture, others, 0.5), images)


def light(images: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation; make some images grey and some as dark as at night."""
    count = len(images)

    def factor() -> Tensor:
        return _uniform(count, -how.light, how.light, chance).exp()[:, None, None, None]

    images = images * factor()
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * factor() + middle
    saturation = torch.where(_some(count, how.grey_share, chance)[:, None, None, None], 0.0, factor())
    grey = images.mean(1, keepdim=True)
    images = ((images - grey) * saturation + grey).clamp_(0, 1)
    night = _some(count, how.night_share, chance)
    gamma = torch.where(night, _uniform(count, 1.3, 2.6, chance), 1.0)[:, None, None, None]
    return torch.where(gamma > 1, images.clamp_min(1e-4) ** gamma, images)


def spoil(images: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Blur some images and put noise on some."""
    count = len(images)
    blurred = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    amount = _uniform(count, 0.3, 1.0, chance) * _some(count, how.blur_share, chance)
    images = torch.lerp(images, blurred, amount[:, None, None, None])
    strength = _uniform(count, 0, 0.06, chance) * _some(count, how.noise_share, chance)
    noise = torch.randn(images.shape, generator=chance)
    return images + noise * strength[:, None, None, None]
