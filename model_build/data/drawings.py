"""Synthetic drawings of bicycles, motorcycles and things that are neither, each from a seed.

The sample photos of the demo and of `events/` are such drawings, so that they need no download and no
licence. The model trains on drawings with seeds below `FIRST_TEST_SEED`; samples and tests use the others,
which it has never seen.
"""

from collections.abc import Callable
from math import cos, pi, sin
from random import Random
from typing import Final

from PIL import Image, ImageDraw, ImageFilter

FIRST_TEST_SEED: Final = 10_000  # lower seeds are for training, this and higher ones for samples and tests
Point = tuple[float, float]
Colour = tuple[int, int, int]


class Pen:
    """Draws on an image in coordinates from 0 to 1 across a box: left, top and side in pixels."""

    def __init__(
        self, image: Image.Image, box: tuple[float, float, float], *, flip: bool, tilt: float
    ) -> None:
        self._draw, self._box, self._flip = ImageDraw.Draw(image), box, flip
        self._turn = (cos(tilt), sin(tilt))

    def _at(self, point: Point) -> Point:
        x, y = point[0] - 0.5, point[1] - 0.5
        if self._flip:
            x = -x
        c, s = self._turn
        left, top, side = self._box
        return left + side * (0.5 + x * c - y * s), top + side * (0.5 + x * s + y * c)

    def line(self, points: list[Point], colour: Colour, width: float) -> None:
        """Draw a line through the points with round joints."""
        places = [self._at(point) for point in points]
        pixels = max(1, round(width * self._box[2]))
        self._draw.line(places, fill=colour, width=pixels, joint="curve")
        for x, y in places:
            r = pixels / 2
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def polygon(self, points: list[Point], colour: Colour) -> None:
        """Draw a filled polygon."""
        self._draw.polygon([self._at(point) for point in points], fill=colour)

    def disc(self, centre: Point, radius: float, colour: Colour, *, squash: float = 1.0) -> None:
        """Draw a filled ellipse; `squash` is its height divided by its width."""
        self.polygon(_ellipse(centre, radius, squash)[:-1], colour)

    def ring(self, centre: Point, radius: float, colour: Colour, width: float) -> None:
        """Draw the outline of a circle."""
        self.line(_ellipse(centre, radius, 1.0), colour, width)


def _ellipse(centre: Point, radius: float, squash: float) -> list[Point]:
    return [
        (centre[0] + radius * cos(t * pi / 24), centre[1] + radius * squash * sin(t * pi / 24))
        for t in range(49)
    ]


def chance(random: Random, share: float) -> bool:
    """Return True with a probability of `share`."""
    return random.random() < share


def random_colour(random: Random, low: int, high: int) -> Colour:
    """Return a colour whose channels are from `low` to `high`."""
    return random.randint(low, high), random.randint(low, high), random.randint(low, high)


def vivid_colour(random: Random) -> Colour:
    """Return a saturated colour of any hue, as the paint of a frame or a tank."""
    channels = [random.randint(140, 240), random.randint(20, 110), random.randint(10, 90)]
    random.shuffle(channels)
    return channels[0], channels[1], channels[2]


def shaded(colour: Colour, factor: float) -> Colour:
    """Return a colour with its channels multiplied by a factor."""
    red, green, blue = (min(255, max(0, round(c * factor))) for c in colour)
    return red, green, blue


def _bicycle(pen: Pen, random: Random) -> None:
    """Draw two large thin wheels with spokes and a diamond frame of tubes."""
    tyre, metal = random_colour(random, 15, 60), random_colour(random, 90, 200)
    frame = vivid_colour(random) if chance(random, 0.8) else random_colour(random, 10, 70)
    radius = random.uniform(0.17, 0.2)
    rear, front = (0.24, 0.66), (random.uniform(0.74, 0.78), 0.66)
    tube = random.uniform(0.014, 0.024)
    for hub in (rear, front):
        for spoke in range(random.choice((8, 10, 12))):
            angle = spoke * pi / 6
            end = (hub[0] + radius * cos(angle), hub[1] + radius * sin(angle))
            pen.line([hub, end], metal, 0.003)
        pen.ring(hub, radius, tyre, random.uniform(0.014, 0.028))
        pen.disc(hub, 0.016, metal)
    crank = (random.uniform(0.44, 0.48), 0.67)
    seat = (random.uniform(0.38, 0.41), random.uniform(0.4, 0.45))
    head = (front[0] - random.uniform(0.09, 0.12), random.uniform(0.4, 0.44))
    step_through = chance(random, 0.25)
    top = (seat[0] + 0.02, seat[1] + (0.14 if step_through else 0.03))
    tubes = ((rear, seat), (rear, crank), (seat, crank), (crank, head), (top, head), (head, front))
    for start, end in tubes:
        pen.line([start, end], frame, tube)
    pen.line([seat, (seat[0] - 0.015, seat[1] - 0.06)], metal, 0.014)
    saddle = (seat[0] - 0.02, seat[1] - 0.065)
    pen.line([(saddle[0] - 0.045, saddle[1]), (saddle[0] + 0.05, saddle[1])], tyre, 0.026)
    grip = (head[0] + random.uniform(-0.02, 0.06), head[1] - random.uniform(0.05, 0.1))
    pen.line([head, (head[0] - 0.015, head[1] - 0.06), grip], metal, 0.014)
    pen.ring(crank, 0.04, metal, 0.01)
    pedal = (crank[0] + 0.05, crank[1] + 0.05)
    pen.line([crank, pedal, (pedal[0] + 0.03, pedal[1])], tyre, 0.012)
    if chance(random, 0.3):
        rim = [(head[0] + 0.02, head[1] - 0.08), (head[0] + 0.16, head[1] - 0.08)]
        basket = [*rim, (head[0] + 0.14, head[1] + 0.03), (head[0] + 0.04, head[1] + 0.03)]
        pen.polygon(basket, random_colour(random, 90, 170))


def _motorcycle(pen: Pen, random: Random) -> None:
    """Draw two small thick wheels, an engine that fills the middle, a tank, a long seat and an exhaust."""
    tyre, metal = random_colour(random, 10, 45), random_colour(random, 110, 200)
    paint = vivid_colour(random) if chance(random, 0.75) else random_colour(random, 15, 80)
    radius = random.uniform(0.125, 0.15)
    rear, front = (0.22, 0.69), (random.uniform(0.77, 0.81), 0.69)
    for hub in (rear, front):
        pen.disc(hub, radius + 0.02, tyre)
        pen.disc(hub, radius * 0.55, shaded(metal, 0.8))
        pen.disc(hub, radius * 0.3, tyre)
    head = (random.uniform(0.63, 0.67), random.uniform(0.4, 0.44))
    pen.line([front, head], metal, random.uniform(0.026, 0.04))
    pen.line([rear, (0.42, 0.68), (0.6, 0.64)], shaded(paint, 0.5), 0.04)
    _engine(pen, random, metal)
    tank_top = random.uniform(0.39, 0.43)
    front_of_tank = [(0.41, 0.5), (0.46, tank_top), (0.58, tank_top - 0.01)]
    pen.polygon([*front_of_tank, (0.65, 0.46), (0.62, 0.55), (0.43, 0.55)], paint)
    _seat(pen, random, paint, tyre)
    pen.line([head, (head[0] - 0.03, head[1] - 0.07), (head[0] - 0.09, head[1] - 0.06)], tyre, 0.02)
    pen.disc((head[0] + 0.035, head[1] + 0.02), 0.04, random_colour(random, 200, 255))
    if chance(random, 0.5):
        nose = [(head[0] - 0.04, head[1] - 0.04), (head[0] + 0.09, head[1] + 0.03), (head[0] + 0.06, 0.58)]
        pen.polygon([*nose, (0.56, 0.66), (0.55, 0.52)], shaded(paint, 1.1))
    mudguard = [(front[0] - radius, front[1] - 0.1), (front[0], front[1] - radius - 0.04)]
    pen.line([*mudguard, (front[0] + radius, front[1] - 0.08)], paint, 0.024)


def _engine(pen: Pen, random: Random, metal: Colour) -> None:
    block = [(0.36, 0.55), (0.6, 0.53), (0.63, 0.68), (0.54, 0.75), (0.38, 0.74)]
    pen.polygon(block, shaded(metal, random.uniform(0.35, 0.7)))
    for fin in range(4):
        y = 0.57 + 0.035 * fin
        pen.line([(0.42, y), (0.56, y)], metal, 0.009)
    exhaust = [(0.55, 0.7), (0.42, 0.76), (0.14, random.uniform(0.72, 0.76))]
    pen.line(exhaust, metal, random.uniform(0.028, 0.045))


def _seat(pen: Pen, random: Random, paint: Colour, tyre: Colour) -> None:
    end = random.uniform(0.12, 0.18)
    seat = [(0.44, 0.49), (0.44, 0.55), (0.24, 0.55), (end, 0.48), (end + 0.02, 0.44), (0.32, 0.48)]
    pen.polygon(seat, tyre)
    pen.polygon([(0.24, 0.55), (end, 0.49), (end - 0.04, 0.53), (0.14, 0.58)], paint)


def _cat(pen: Pen, random: Random) -> None:
    fur = random.choice(((210, 140, 70), (90, 85, 80), (225, 215, 200), (50, 45, 45), (160, 120, 90)))
    dark = shaded(fur, 0.6)
    pen.line([(0.68, 0.8), (0.84, 0.74), (0.86, random.uniform(0.5, 0.6))], fur, 0.05)
    pen.disc((0.52, 0.68), 0.2, fur, squash=1.1)
    head = (random.uniform(0.46, 0.52), 0.36)
    for side in (-1, 1):
        ear = [(head[0] + side * 0.14, head[1] - 0.04), (head[0] + side * 0.13, head[1] - 0.24)]
        pen.polygon([*ear, (head[0] + side * 0.02, head[1] - 0.11)], fur)
    pen.disc(head, 0.16, fur, squash=0.9)
    for side in (-1, 1):
        pen.disc((head[0] + side * 0.06, head[1] - 0.02), 0.03, random_colour(random, 120, 220), squash=1.2)
        pen.disc((head[0] + side * 0.06, head[1] - 0.02), 0.012, (10, 10, 10), squash=2.0)
        for tilt in (-0.02, 0.01, 0.04):
            nose = (head[0] + side * 0.04, head[1] + 0.06)
            tip = (head[0] + side * 0.22, head[1] + 0.05 + tilt)
            pen.line([nose, tip], dark, 0.005)
        pen.disc((0.52 + side * 0.09, 0.87), 0.06, dark, squash=0.6)
    muzzle = [(head[0] - 0.02, head[1] + 0.03), (head[0] + 0.02, head[1] + 0.03), (head[0], head[1] + 0.06)]
    pen.polygon(muzzle, (200, 110, 120))


def _house(pen: Pen, random: Random) -> None:
    wall, roof = random_colour(random, 140, 235), vivid_colour(random)
    if chance(random, 0.6):
        pen.polygon([(0.66, 0.2), (0.74, 0.2), (0.74, 0.42), (0.66, 0.42)], shaded(roof, 0.7))
    pen.polygon([(0.2, 0.44), (0.8, 0.44), (0.8, 0.86), (0.2, 0.86)], wall)
    pen.polygon([(0.12, 0.46), (0.5, random.uniform(0.12, 0.22)), (0.88, 0.46)], roof)
    door = random.uniform(0.42, 0.52)
    pen.polygon([(door, 0.64), (door + 0.11, 0.64), (door + 0.11, 0.86), (door, 0.86)], shaded(wall, 0.4))
    for x in (0.26, 0.64):
        window = [(x, 0.54), (x + 0.11, 0.54), (x + 0.11, 0.65), (x, 0.65)]
        pen.polygon(window, random_colour(random, 120, 230))
        pen.line([(x + 0.055, 0.54), (x + 0.055, 0.65)], shaded(wall, 0.7), 0.008)


def _tree(pen: Pen, random: Random) -> None:
    leaf = (random.randint(20, 110), random.randint(90, 170), random.randint(20, 70))
    pen.polygon([(0.46, 0.5), (0.54, 0.5), (0.57, 0.9), (0.43, 0.9)], (95, 65, 40))
    if chance(random, 0.5):
        for _ in range(9):
            centre = (random.uniform(0.34, 0.66), random.uniform(0.24, 0.52))
            pen.disc(centre, random.uniform(0.1, 0.17), shaded(leaf, random.uniform(0.8, 1.2)))
    else:
        for level in range(3):
            top = 0.12 + 0.17 * level
            left, right = (0.32 - 0.06 * level, top + 0.28), (0.68 + 0.06 * level, top + 0.28)
            pen.polygon([(0.5, top), left, right], shaded(leaf, 1 - 0.1 * level))


def _car(pen: Pen, random: Random) -> None:
    paint = vivid_colour(random)
    pen.polygon([(0.28, 0.52), (0.37, 0.38), (0.62, 0.38), (0.73, 0.52)], shaded(paint, 0.9))
    pen.polygon([(0.32, 0.51), (0.39, 0.41), (0.49, 0.41), (0.49, 0.51)], (180, 210, 225))
    pen.polygon([(0.51, 0.51), (0.51, 0.41), (0.6, 0.41), (0.67, 0.51)], (180, 210, 225))
    pen.polygon([(0.08, 0.54), (0.13, 0.5), (0.86, 0.5), (0.93, 0.56), (0.93, 0.67), (0.08, 0.67)], paint)
    for x in (0.26, 0.74):
        pen.disc((x, 0.67), 0.085, (25, 25, 28))
        pen.disc((x, 0.67), 0.045, (170, 170, 175))


def _cup(pen: Pen, random: Random) -> None:
    china = random_colour(random, 120, 245)
    pen.disc((0.48, 0.8), 0.32, shaded(china, 0.85), squash=0.2)
    pen.ring((0.72, 0.55), 0.1, china, 0.04)
    pen.polygon([(0.26, 0.4), (0.7, 0.4), (0.64, 0.78), (0.33, 0.78)], china)
    pen.disc((0.48, 0.4), 0.22, (90, 55, 35), squash=0.22)
    for x in (0.4, 0.5, 0.58):
        pen.line([(x, 0.3), (x + 0.03, 0.22), (x - 0.02, 0.14)], shaded(china, 0.9), 0.012)


def _shapes(pen: Pen, random: Random) -> None:
    """Draw random discs, rings, bars and triangles: wheels alone are not a vehicle."""
    for _ in range(random.randint(4, 9)):
        x, y, size = random.uniform(0.15, 0.85), random.uniform(0.15, 0.85), random.uniform(0.05, 0.2)
        colour = vivid_colour(random) if chance(random, 0.6) else random_colour(random, 10, 230)
        kind = random.choice(("disc", "ring", "bar", "triangle"))
        if kind == "disc":
            pen.disc((x, y), size, colour)
        elif kind == "ring":
            pen.ring((x, y), size, colour, random.uniform(0.01, 0.04))
        elif kind == "bar":
            pen.line([(x, y), (random.random(), random.random())], colour, random.uniform(0.01, 0.05))
        else:
            pen.polygon([(x, y - size), (x + size, y + size), (x - size, y + size)], colour)


_DRAW: Final[dict[str, Callable[[Pen, Random], None]]] = {
    function.__name__[1:]: function
    for function in (_bicycle, _motorcycle, _cat, _house, _tree, _car, _cup, _shapes)
}
KINDS: Final = tuple(_DRAW)


def background(random: Random, size: tuple[int, int]) -> Image.Image:
    """Return a white or plain background as in a shop, or sky over ground with or without buildings."""
    if chance(random, 0.25):
        return Image.new("RGB", size, shaded((255, 255, 255), random.uniform(0.93, 1.0)))
    if chance(random, 0.2):
        return Image.new("RGB", size, random_colour(random, 30, 230))
    width, height = size
    sky = (random.randint(120, 210), random.randint(160, 220), random.randint(190, 250))
    ground = random.choice(((105, 105, 110), (95, 130, 70), (170, 150, 115), (80, 75, 75), (200, 195, 190)))
    image = Image.new("RGB", size, shaded(sky, random.uniform(0.5, 1.05)))
    draw = ImageDraw.Draw(image)
    horizon = height * random.uniform(0.5, 0.72)
    draw.rectangle((0, horizon, width, height), fill=shaded(ground, random.uniform(0.6, 1.1)))
    for _ in range(random.choice((0, 0, 2, 5))):
        left, wide = random.uniform(-0.1, 1) * width, random.uniform(0.06, 0.25) * width
        top = horizon - random.uniform(0.08, 0.35) * height
        draw.rectangle((left, top, left + wide, horizon), fill=random_colour(random, 70, 190))
    return image


def scene(kind: str, seed: int, size: tuple[int, int], smallest: float) -> tuple[Image.Image, Pen, Random]:
    """Return a background, and a pen for a box of at least the share `smallest` of its shorter side."""
    random = Random(f"{kind}-{seed}")  # noqa: S311 - not a secret
    image = background(random, size)
    side = min(size) * random.uniform(smallest, 1.0)
    left = (size[0] - side) * random.uniform(0.3, 0.7)
    top = (size[1] - side) * random.uniform(0.4, 0.9)
    pen = Pen(image, (left, top, side), flip=chance(random, 0.5), tilt=random.uniform(-0.08, 0.08))
    return image, pen, random


def draw(kind: str, seed: int, size: tuple[int, int] = (256, 256)) -> Image.Image:
    """Draw one of `KINDS`; equal kind, seed, and width and height in pixels give equal pictures."""
    image, pen, random = scene(kind, seed, size, 0.78)
    _DRAW[kind](pen, random)
    return image.filter(ImageFilter.GaussianBlur(min(size) / 900))
