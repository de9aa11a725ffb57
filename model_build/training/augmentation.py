"""Makes a thumbnail look like a driver's photo: turned, off-centre, far away, dark, half hidden, sharp.

Everything works on a whole batch of tensors and draws its chances from one generator, so that one seed gives
one model.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """How strongly images are changed; every `*_share` is a probability per image.

    Attributes:
        light: brightness, contrast and saturation change by exp(+-light).
        night_share: how many are made dark by a gamma curve.
        grey_share: how many lose their colours.
        cutout: side of the square that hides a part, as a share of the image's.
        occlude_share: how many of these squares show another picture instead of grey.
        shift: how far an image moves that is not turned, as a share of its side.
        turn_share: how many are turned, stretched, zoomed and moved freely.
        turn: degrees at most.
        zoom_out: smallest size of the thing, as a share of its size.
        zoom_in: largest size.
        paste_share: how many of those that shrink stand on another picture, not on their own mirrored edge.
        blur_share: how many are blurred.
        sharp_share: how many are sharpened: thumbnails lack the detail that photos have.
        noise_share: how many get noise.
    """

    light: float = 0.3
    night_share: float = 0.1
    grey_share: float = 0.08
    cutout: float = 0.31
    occlude_share: float = 0.5
    shift: float = 0.125
    turn_share: float = 0.6
    turn: float = 20.0
    zoom_out: float = 0.45
    zoom_in: float = 1.4
    paste_share: float = 0.5
    blur_share: float = 0.15
    sharp_share: float = 0.3
    noise_share: float = 0.15


def augment(images: Tensor, others: Tensor, side: int, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Change every image of a batch at random and bring it to the network's size.

    Args:
        images: float in 0..1, shape [N, 3, H, W].
        others: pictures of other things, same shape: backgrounds and what stands in front.
        side: height and width of the result.
        how: how strongly.
        chance: source of all randomness.

    Returns:
        float in 0..1, shape [N, 3, side, side].
    """
    images = relight(images, how, chance)
    images = hide(images, others, how, chance)
    images = place(images, others, side, how, chance)
    return spoil(images, how, chance).clamp_(0, 1)


def _uniform(count: int, low: float, high: float, chance: torch.Generator) -> Tensor:
    return torch.rand(count, generator=chance) * (high - low) + low


def _some(count: int, share: float, chance: torch.Generator) -> Tensor:
    return torch.rand(count, generator=chance) < share


def _per_image(values: Tensor) -> Tensor:
    """[N] to [N, 1, 1, 1]."""
    return values[:, None, None, None]


def relight(images: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation; make some images grey and some as dark as at night."""
    count = len(images)

    def factor() -> Tensor:
        return _per_image(_uniform(count, -how.light, how.light, chance).exp())

    images = images * factor()
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * factor() + middle
    saturation = torch.where(_per_image(_some(count, how.grey_share, chance)), 0.0, factor())
    grey = images.mean(1, keepdim=True)
    images = ((images - grey) * saturation + grey).clamp_(0, 1)
    gamma = torch.where(_some(count, how.night_share, chance), _uniform(count, 1.3, 2.6, chance), 1.0)
    return images.clamp_min(1e-4) ** _per_image(gamma)


def hide(images: Tensor, others: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Cover a square of every image: by grey, or by a piece of another picture."""
    count, _, height, width = images.shape
    half = how.cutout * height / 2
    top = _per_image(_uniform(count, half, height - half, chance))
    left = _per_image(_uniform(count, half, width - half, chance))
    rows = torch.arange(height)[None, None, :, None] + 0.5
    columns = torch.arange(width)[None, None, None, :] + 0.5
    covered = ((rows - top).abs() < half) & ((columns - left).abs() < half)
    picture = _per_image(_some(count, how.occlude_share, chance))
    return torch.where(covered, torch.where(picture, others, 0.5), images)


def place(images: Tensor, others: Tensor, side: int, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Mirror half of the images and shift them; turn, stretch, zoom and move some freely; enlarge to `side`.

    What lies beyond an image's edge is its mirrored or its smeared edge, or another picture.
    """
    count = len(images)
    free = _some(count, how.turn_share, chance)
    range_of_zoom = math.log(how.zoom_in / how.zoom_out)
    zoom = torch.where(free, (_uniform(count, 0, range_of_zoom, chance)).exp() * how.zoom_out, 1.0)
    angle = torch.where(free, _uniform(count, -how.turn, how.turn, chance), 0.0).deg2rad()
    stretch = torch.where(free, _uniform(count, -0.2, 0.2, chance), 0.0).exp()
    mirror = torch.where(_some(count, 0.5, chance), -1.0, 1.0)
    reach = torch.where(free, (1 - zoom).abs() + 0.2, 2 * how.shift)  # what shrank may go further
    move = torch.stack([_uniform(count, -1, 1, chance) * reach for _ in range(2)], 1)[:, :, None]
    cos, sin = angle.cos(), angle.sin()
    across = torch.stack([cos / (zoom * stretch), -sin / (zoom * stretch)], 1) * mirror[:, None]
    down = torch.stack([sin / zoom * stretch, cos / zoom * stretch], 1)
    turned = torch.stack([across, down], 1)
    where = torch.cat([turned, -(turned @ move)], 2)
    grid = functional.affine_grid(where, [count, 3, side, side], align_corners=False)
    edge = "reflection" if torch.rand((), generator=chance) < 0.5 else "border"  # noqa: PLR2004 - a coin
    placed = functional.grid_sample(images, grid, padding_mode=edge, align_corners=False)
    paste = free & (zoom < 0.9) & _some(count, how.paste_share, chance)  # noqa: PLR2004 - else too little shows
    beyond = (grid[paste].abs().amax(3) > 1)[:, None]
    placed[paste] = torch.where(beyond, enlarge(others[paste], side), placed[paste])
    return placed


def enlarge(images: Tensor, side: int) -> Tensor:
    """Images in 0..1 of any size at the network's, as inference enlarges a thumbnail."""
    size = (side, side)
    return functional.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True).clamp_(
        0, 1
    )


def spoil(images: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Blur some images, sharpen some, and put noise on some."""
    count = len(images)
    blur = _some(count, how.blur_share, chance)
    images[blur] = _neighbourhood(images[blur], 5)
    sharp = _some(count, how.sharp_share, chance)
    strength = _per_image(_uniform(int(sharp.sum()), 0, 4, chance))
    images[sharp] += (images[sharp] - _neighbourhood(images[sharp], 3)) * strength
    noisy = _some(count, how.noise_share, chance)
    strength = _per_image(_uniform(int(noisy.sum()), 0, 0.08, chance))
    images[noisy] += torch.randn(images[noisy].shape, generator=chance) * strength
    return images


def _neighbourhood(images: Tensor, size: int) -> Tensor:
    """The mean around each pixel."""
    if not len(images):
        return images
    margin = size // 2
    return functional.avg_pool2d(functional.pad(images, (margin,) * 4, mode="replicate"), size, 1)
