"""Images without an object, as much of a typical photo is: negatives, so that the network rejects such."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Picture = npt.NDArray[np.float32]
SCALE = 4  # blobs are drawn this many times larger and then reduced, which antialiases their edges


def make_textures(count: int, side: int, seed: int) -> npt.NDArray[np.uint8]:
    """Generate images without an object, uint8 [count, side, side, 3]."""
    random = np.random.default_rng(seed)
    makers = (_texture, _stripes, _wall, _blobs, _blobs, _horizon)
    pictures = np.stack([makers[index % len(makers)](side, random) for index in range(count)])
    return (pictures.clip(0, 1) * 255).astype(np.uint8)


def _floats(values: npt.ArrayLike) -> Picture:
    return np.asarray(values, dtype=np.float32)


def _colour(random: np.random.Generator) -> Picture:
    """Return a random colour, rarely a saturated one."""
    grey = random.uniform(0, 1)
    return _floats(grey + (random.uniform(0, 1, 3) - grey) * random.uniform(0, 0.9))


def _texture(side: int, random: np.random.Generator) -> Picture:
    """Blend two colours by smooth noise on several scales: cloth, stone, leaves, clouds."""
    steepness = random.uniform(0.3, 1.6)
    field = np.zeros((side, side), np.float32)
    cells = 2
    while cells <= side:
        coarse = Image.fromarray(random.standard_normal((cells, cells)).astype(np.float32))
        field += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) * (2 / cells) ** steepness
        cells *= 2
    share = (1 / (1 + np.exp(-2 * field * random.uniform(0.5, 2.5))))[..., None]
    grain = random.normal(0, random.uniform(0, 0.08), (side, side, 3))
    return _floats(_colour(random) * share + _colour(random) * (1 - share) + grain)


def _stripes(side: int, random: np.random.Generator) -> Picture:
    """Draw waves or bars in one or two directions: fences, fabric, louvres, grids."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    share = np.ones((side, side))
    for _ in range(random.integers(1, 3)):
        angle, waves = random.uniform(0, np.pi), random.uniform(1, 10)
        bend = random.uniform(0, 2) * np.sin(2 * np.pi * (rows + columns) * random.uniform(0, 1))
        wave = np.sin(2 * np.pi * waves * (np.cos(angle) * columns + np.sin(angle) * rows) + bend)
        share *= 1 / (1 + np.exp(-wave * random.uniform(1, 12)))
    return _floats(_colour(random) * share[..., None] + _colour(random) * (1 - share[..., None]))


def _wall(side: int, random: np.random.Generator) -> Picture:
    """Draw rows of bricks, tiles or windows, each slightly different."""
    high, wide = random.integers(2, 9), random.integers(3, 14)
    wall = np.tile(_colour(random), (side, side, 1))
    colour, variety = _colour(random), random.uniform(0, 0.15)
    gap, offset = random.integers(1, 3), random.integers(0, 2) * wide // 2
    for row, top in enumerate(range(-random.integers(0, high), side, high + gap)):
        for left in range(-wide - row % 2 * offset, side, wide + gap):
            brick = colour + random.normal(0, variety)
            wall[max(0, top) : max(0, top + high), max(0, left) : max(0, left + wide)] = brick
    return _floats(wall)


def _blobs(side: int, random: np.random.Generator) -> Picture:
    """Draw shaded ovals, rings and polygons on a plain background: fruit, plates, boxes, bottles."""
    full = side * SCALE
    white = random.random() < 0.6  # noqa: PLR2004 - as in most shop photos
    ground = _floats(random.uniform(0.92, 1.0, 3)) if white else _colour(random)
    image = Image.fromarray((np.tile(ground, (full, full, 1)) * 255).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(1, 7)):
        x, y = random.uniform(0.2, 0.8, 2) * full
        wide, high = random.uniform(0.06, 0.42, 2) * full
        shape = random.integers(0, 4)
        fill = _bytes(_colour(random))
        if shape == 0:
            draw.ellipse((x - wide, y - high, x + wide, y + high), fill=fill)
            draw.ellipse((x - wide / 2, y - high / 1.5, x, y), fill=_bytes(_floats(fill) / 255 * 1.25))
        elif shape == 1:
            ring = (x - wide, y - wide, x + wide, y + wide)
            draw.ellipse(ring, outline=fill, width=int(full * random.uniform(0.01, 0.1)))
        elif shape == 2:  # noqa: PLR2004 - a plain list of shapes
            draw.rounded_rectangle((x - wide, y - high, x + wide, y + high), int(full * 0.04), fill=fill)
        else:
            turns = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 9)))
            draw.polygon([(x + wide * np.cos(t), y + high * np.sin(t)) for t in turns], fill=fill)
    reduced = np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float32) / 255
    return _floats(reduced + random.normal(0, random.uniform(0, 0.03), reduced.shape))


def _bytes(colour: npt.NDArray[np.floating]) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in (colour.clip(0, 1) * 255))
    return red, green, blue


def _horizon(side: int, random: np.random.Generator) -> Picture:
    """Draw sky over land or water, with a soft boundary and grain."""
    heights = np.linspace(0, 1, side)[:, None, None]
    line = random.uniform(0.2, 0.8)
    slope = (np.arange(side) / side - 0.5)[None, :, None] * random.uniform(-0.3, 0.3)
    land = 1 / (1 + np.exp(-(heights - line - slope) * random.uniform(10, 120)))
    sky = _colour(random) + (heights - line) * random.uniform(-0.4, 0.4)
    grain = _texture(side, random) * random.uniform(0, 0.5)
    return _floats(sky * (1 - land) + (_colour(random) + grain - grain.mean()) * land)
