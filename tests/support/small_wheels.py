"""Synthetic drawings of small things with wheels that are neither bicycles nor motorcycles, each from a seed.

No model is trained on them: they measure how often a model accepts what resembles a vehicle.
"""

from collections.abc import Callable
from math import cos, pi, sin
from random import Random
from typing import Final, NamedTuple

from PIL import Image, ImageFilter

from model_build.data.drawings import Colour, Pen, Point, chance, random_colour, scene, shaded, vivid_colour

SIZE: Final = (320, 320)
WOOD: Final = (100, 75, 50)
CARDBOARD: Final = (190, 145, 95)


class Paints(NamedTuple):
    """The colours of one thing."""

    tyre: Colour
    metal: Colour
    paint: Colour


def _wheel(pen: Pen, hub: Point, radius: float, paints: Paints) -> None:
    pen.disc(hub, radius, paints.tyre)
    pen.disc(hub, radius * 0.45, paints.metal)


def _spoked(pen: Pen, hub: Point, radius: float, paints: Paints, spokes: int) -> None:
    for number in range(spokes):
        angle = 2 * pi * number / spokes
        pen.line([hub, (hub[0] + radius * cos(angle), hub[1] + radius * sin(angle))], paints.metal, 0.004)
    pen.ring(hub, radius, paints.tyre, 0.022)


def _wheelchair(pen: Pen, _: Random, paints: Paints) -> None:
    _spoked(pen, (0.42, 0.66), 0.2, paints, 16)
    pen.ring((0.7, 0.82), 0.055, paints.tyre, 0.02)
    frame: list[Point] = [(0.3, 0.3), (0.36, 0.32), (0.38, 0.56), (0.64, 0.56), (0.72, 0.8), (0.8, 0.8)]
    pen.line(frame, paints.metal, 0.018)
    pen.polygon([(0.36, 0.35), (0.4, 0.35), (0.42, 0.56), (0.38, 0.56)], paints.paint)
    pen.polygon([(0.38, 0.52), (0.64, 0.52), (0.64, 0.56), (0.38, 0.56)], paints.paint)
    pen.line([(0.4, 0.45), (0.62, 0.45)], paints.metal, 0.02)


def _kick_scooter(pen: Pen, random: Random, paints: Paints) -> None:
    for x in (0.2, 0.8):
        _wheel(pen, (x, 0.84), 0.055, paints)
    pen.line([(0.2, 0.82), (0.72, 0.82)], paints.paint, 0.035)
    column = paints.paint if chance(random, 0.5) else paints.metal
    pen.line([(0.8, 0.84), (0.74, 0.6), (0.7, 0.2)], column, 0.024)
    pen.line([(0.6, 0.2), (0.78, 0.19)], paints.tyre, 0.028)


def _pram(pen: Pen, _: Random, paints: Paints) -> None:
    for x in (0.34, 0.66):
        _spoked(pen, (x, 0.78), 0.1, paints, 8)
        pen.line([(x, 0.78), (0.94 - x, 0.58)], paints.metal, 0.016)
    pen.polygon([(0.24, 0.4), (0.76, 0.4), (0.7, 0.58), (0.32, 0.6)], paints.paint)
    arc: list[Point] = [
        (0.5 + 0.26 * cos(pi / 20 * step), 0.4 - 0.24 * sin(pi / 20 * step)) for step in range(11)
    ]
    pen.polygon([(0.5, 0.4), *arc], shaded(paints.paint, 0.7))
    pen.line([(0.24, 0.4), (0.14, 0.26), (0.08, 0.27)], paints.metal, 0.018)


def _tricycle(pen: Pen, _: Random, paints: Paints) -> None:
    for hub, radius in (((0.74, 0.7), 0.13), ((0.26, 0.75), 0.08), ((0.34, 0.76), 0.08)):
        pen.disc(hub, radius, paints.tyre)
        pen.disc(hub, radius * 0.65, paints.metal)
        pen.disc(hub, radius * 0.2, paints.paint)
    pen.line([(0.3, 0.75), (0.42, 0.6), (0.66, 0.5), (0.74, 0.7)], paints.paint, 0.045)
    pen.line([(0.66, 0.52), (0.62, 0.3), (0.56, 0.28)], paints.paint, 0.03)
    pen.polygon([(0.34, 0.52), (0.48, 0.5), (0.48, 0.56), (0.34, 0.58)], paints.tyre)


def _kart(pen: Pen, random: Random, paints: Paints) -> None:
    for x in (0.2, 0.8):
        _wheel(pen, (x, 0.74), 0.085, paints)
    hull: list[Point] = [
        (0.12, 0.72), (0.2, 0.6), (0.5, 0.62), (0.7, 0.62), (0.92, 0.7), (0.92, 0.77), (0.12, 0.77),
    ]  # fmt: skip
    pen.polygon(hull, paints.paint)
    pen.polygon([(0.3, 0.62), (0.28, 0.42), (0.34, 0.4), (0.44, 0.62)], paints.tyre)
    pen.line([(0.62, 0.62), (0.56, 0.5)], paints.tyre, 0.02)
    if chance(random, 0.6):  # a driver
        suit = vivid_colour(random)
        pen.disc((0.4, 0.34), 0.07, vivid_colour(random))
        pen.polygon([(0.34, 0.4), (0.46, 0.4), (0.5, 0.6), (0.36, 0.6)], suit)
        pen.line([(0.44, 0.46), (0.56, 0.52)], suit, 0.035)


def _skateboard(pen: Pen, _: Random, paints: Paints) -> None:
    pen.line([(0.1, 0.58), (0.2, 0.64), (0.8, 0.64), (0.9, 0.58)], paints.paint, 0.035)
    for x in (0.26, 0.34, 0.66, 0.74):
        _wheel(pen, (x, 0.7), 0.04, paints)


def _hand_truck(pen: Pen, random: Random, paints: Paints) -> None:
    _wheel(pen, (0.42, 0.82), 0.08, paints)
    pen.line([(0.4, 0.8), (0.24, 0.16), (0.16, 0.14)], paints.paint, 0.026)
    pen.line([(0.44, 0.8), (0.72, 0.8)], paints.paint, 0.026)
    for number in range(random.randint(1, 3)):
        left, top = 0.41 - 0.05 * number, 0.58 - 0.2 * number
        box: list[Point] = [(left, top), (left + 0.29, top), (left + 0.29, top + 0.19), (left, top + 0.19)]
        pen.polygon(box, shaded(CARDBOARD, random.uniform(0.8, 1.15)))


def _unicycle(pen: Pen, _: Random, paints: Paints) -> None:
    _spoked(pen, (0.5, 0.66), 0.2, paints, 14)
    pen.line([(0.5, 0.66), (0.5, 0.3)], paints.paint, 0.03)
    pen.polygon([(0.38, 0.26), (0.62, 0.24), (0.58, 0.31), (0.42, 0.31)], paints.tyre)
    pen.line([(0.44, 0.74), (0.56, 0.58)], paints.metal, 0.018)
    pen.line([(0.38, 0.74), (0.48, 0.74)], paints.tyre, 0.02)


def _barrow(pen: Pen, random: Random, paints: Paints) -> None:
    _wheel(pen, (0.82, 0.76), 0.1, paints)
    pen.polygon([(0.34, 0.42), (0.9, 0.4), (0.74, 0.64), (0.46, 0.66)], paints.paint)
    pen.line([(0.82, 0.76), (0.5, 0.66), (0.08, 0.5)], paints.metal, 0.024)
    pen.line([(0.46, 0.66), (0.36, 0.84)], paints.metal, 0.022)
    if chance(random, 0.5):  # a load
        pen.polygon([(0.4, 0.42), (0.5, 0.3), (0.66, 0.28), (0.82, 0.41)], WOOD)


def _shopping_trolley(pen: Pen, _: Random, paints: Paints) -> None:
    for number in range(9):
        pen.line([(0.3 + 0.06 * number, 0.34), (0.36 + 0.045 * number, 0.6)], paints.metal, 0.006)
    for number in range(5):
        y = 0.34 + 0.065 * number
        pen.line([(0.26 + 0.02 * number, y), (0.82 - 0.015 * number, y)], paints.metal, 0.006)
    pen.line([(0.14, 0.26), (0.24, 0.28), (0.36, 0.64), (0.3, 0.74), (0.76, 0.74)], paints.metal, 0.018)
    pen.line([(0.12, 0.26), (0.2, 0.26)], paints.paint, 0.03)
    for x in (0.34, 0.72):
        pen.ring((x, 0.8), 0.035, paints.tyre, 0.022)


def _lawn_mower(pen: Pen, _: Random, paints: Paints) -> None:
    pen.polygon([(0.4, 0.62), (0.86, 0.62), (0.9, 0.76), (0.38, 0.76)], paints.paint)
    pen.polygon([(0.54, 0.5), (0.74, 0.5), (0.76, 0.62), (0.52, 0.62)], paints.tyre)
    pen.line([(0.42, 0.66), (0.12, 0.2)], paints.metal, 0.02)
    _wheel(pen, (0.46, 0.78), 0.08, paints)
    _wheel(pen, (0.84, 0.79), 0.06, paints)


def _suitcase(pen: Pen, _: Random, paints: Paints) -> None:
    pen.polygon([(0.34, 0.36), (0.66, 0.36), (0.66, 0.84), (0.34, 0.84)], paints.paint)
    pen.line([(0.42, 0.36), (0.42, 0.14), (0.58, 0.14), (0.58, 0.36)], paints.metal, 0.016)
    for number in range(4):
        x = 0.38 + 0.08 * number
        pen.line([(x, 0.4), (x, 0.8)], shaded(paints.paint, 0.8), 0.012)
    for x in (0.38, 0.62):
        pen.disc((x, 0.87), 0.03, paints.tyre)


def _segway(pen: Pen, _: Random, paints: Paints) -> None:
    pen.disc((0.46, 0.74), 0.15, paints.tyre)
    pen.disc((0.46, 0.74), 0.1, paints.metal)
    pen.polygon([(0.4, 0.66), (0.66, 0.66), (0.66, 0.72), (0.4, 0.72)], paints.paint)
    pen.line([(0.62, 0.68), (0.58, 0.2)], paints.tyre, 0.024)
    pen.line([(0.5, 0.2), (0.64, 0.19)], paints.tyre, 0.03)


def _roller_skate(pen: Pen, _: Random, paints: Paints) -> None:
    boot: list[Point] = [(0.3, 0.2), (0.52, 0.2), (0.54, 0.46), (0.8, 0.56), (0.8, 0.68), (0.3, 0.68)]
    pen.polygon(boot, paints.paint)
    pen.polygon([(0.26, 0.68), (0.82, 0.68), (0.82, 0.72), (0.26, 0.72)], paints.metal)
    for x in (0.34, 0.72):
        _wheel(pen, (x, 0.78), 0.065, paints)


_DRAW: Final[dict[str, Callable[[Pen, Random, Paints], None]]] = {
    function.__name__[1:].replace("_", " "): function
    for function in (
        *(_wheelchair, _kick_scooter, _pram, _tricycle, _kart, _skateboard, _hand_truck, _unicycle),
        *(_barrow, _shopping_trolley, _lawn_mower, _suitcase, _segway, _roller_skate),
    )
}
KINDS: Final = tuple(_DRAW)


def draw(kind: str, seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Draw one of `KINDS`; equal kind, seed and size give equal pixels, and every third is blurred."""
    image, pen, random = scene(kind, seed, size, 0.75)
    paints = Paints(random_colour(random, 10, 60), random_colour(random, 110, 200), vivid_colour(random))
    _DRAW[kind](pen, random, paints)
    blurred = image.filter(ImageFilter.GaussianBlur(min(size) / 900))
    return blurred.filter(ImageFilter.GaussianBlur(1.5)) if seed % 3 == 1 else blurred
