"""Small charts of training and evaluation, drawn with Pillow, which serving needs anyway.

Everything is drawn at twice its size and reduced at the end, for smooth lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model_build.evaluation import metrics
from model_build.evaluation.predictions import Answers

Point = tuple[float, float]

FINE: Final = 2  # drawn pixels per pixel of the result, each way
WIDTH, HEIGHT = 560 * FINE, 400 * FINE
LEFT, RIGHT, TOP, BOTTOM = 66 * FINE, 20 * FINE, 40 * FINE, 54 * FINE
BLACK: Final = (30, 30, 30)
GREY: Final = (215, 215, 215)
COLOURS: Final = ((31, 95, 191), (217, 95, 2), (27, 158, 119), (117, 112, 179), (231, 41, 138))
GRID_LINES: Final = 5


@dataclass(frozen=True)
class Series:
    """A named line of a chart.

    Attributes:
        name: as the legend calls it; "" leaves it out of the legend.
        points: x and y of each, in the chart's units.
        dots: whether the points themselves are marked.
    """

    name: str
    points: Sequence[Point]
    dots: bool = False


@dataclass(frozen=True)
class Axis:
    """What an axis shows.

    Attributes:
        name: text beside it.
        low: the value at its start.
        high: the value at its end, above `low`.
    """

    name: str
    low: float
    high: float

    def place(self, value: float) -> float:
        """Where a value lies, as a share of the axis' length; values beyond an end lie at that end."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def line_chart(
    title: str, x: Axis, y: Axis, series: Sequence[Series], legend: Point = (0.98, 0.12)
) -> Image.Image:
    """Lines over common axes.

    Args:
        title: stands above.
        x: the horizontal axis.
        y: the vertical axis.
        series: the lines, in the order of the legend.
        legend: where its lines stand, as shares of the axes; right-aligned in the right half, left-aligned
            in the left.

    Returns:
        An RGB image, 560 by 400 pixels.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    _text(draw, (WIDTH / 2, TOP / 2), title, anchor="mm", size=15)
    _grid(draw, x, y)
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        places = [_place(x, y, point) for point in one.points]
        if len(places) > 1:
            draw.line(places, fill=colour, width=2 * FINE, joint="curve")
        for px, py in places if one.dots or len(places) == 1 else ():
            radius = 3.5 * FINE
            draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=colour)
    _legend(draw, [one.name for one in series], legend)
    return image.resize((WIDTH // FINE, HEIGHT // FINE), Image.Resampling.BOX)


def confusion_chart(title: str, rows: Sequence[Sequence[int]], labels: Sequence[str]) -> Image.Image:
    """Counts by true class (rows) and answer (columns), darker for a larger share of the row.

    Args:
        title: stands above.
        rows: counts [K][K].
        labels: the K class names.

    Returns:
        An RGB image that grows with K.
    """
    cell, margin = 90 * FINE, 120 * FINE
    size = margin + cell * len(labels) + 20 * FINE
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    _text(draw, (size / 2, 20 * FINE), title, anchor="mm", size=15)
    _text(draw, (margin + cell * len(labels) / 2, margin - 58 * FINE), "answer", anchor="mm")
    for row, name in enumerate(labels):
        middle = margin + cell * (row + 0.5)
        _text(draw, (middle, margin - 22 * FINE), name, anchor="mm", size=12)
        _text(draw, (margin - 8 * FINE, middle), name, anchor="rm", size=12)
        for column, count in enumerate(rows[row]):
            share = count / max(sum(rows[row]), 1)
            corner = (margin + cell * column, margin + cell * row)
            fill = tuple(round(255 + (part - 255) * share) for part in COLOURS[0])
            draw.rectangle((*corner, corner[0] + cell, corner[1] + cell), fill=fill, outline="white")
            colour = (255, 255, 255) if share > 1 / 2 else BLACK
            middle_of_cell = (corner[0] + cell / 2, corner[1] + cell / 2)
            _text(draw, middle_of_cell, str(count), anchor="mm", size=17, colour=colour)
    return image.resize((size // FINE, size // FINE), Image.Resampling.BOX)


def draw_answers(answers: Answers, labels: Sequence[str], threshold: float) -> dict[str, Image.Image]:
    """The drawings of an evaluation.

    Args:
        answers: what the model said, with one labelled image at least.
        labels: the class names.
        threshold: the one in use, marked in the trade-off.

    Returns:
        `confusion`, `reliability` and `trade_off`.
    """
    probabilities, truth = answers.probabilities, answers.labels
    chance = 1 / len(labels)
    bins = metrics.reliability(probabilities, truth)
    choices = metrics.trade_off(probabilities, truth)
    in_use = [
        (metrics.accepted_share(probabilities, threshold) or 0.0, accuracy)
        for accuracy in [metrics.selective_accuracy(probabilities, truth, threshold)]
        if accuracy is not None
    ]
    curve = [Series("right of the accepted", [(one.coverage, one.selective_accuracy) for one in choices])]
    if len(answers.others):
        others = metrics.confidences(answers.others)
        let_through = [(one.coverage, float(np.mean(others >= one.threshold))) for one in choices]
        curve.append(Series("other images accepted", let_through))
    curve.append(Series(f"right at threshold {threshold:g}", in_use, dots=True))
    return {
        "confusion": confusion_chart(
            "right and wrong answers", metrics.confusion(probabilities, truth), labels
        ),
        "reliability": line_chart(
            "confidence against accuracy",
            Axis("confidence", chance, 1),
            Axis("right", 0, 1),
            [
                Series("measured", [(one.confidence, one.accuracy) for one in bins], dots=True),
                Series("ideal", [(chance, chance), (1, 1)]),
            ],
        ),
        "trade_off": line_chart("accepted against right", Axis("accepted", 0, 1), Axis("share", 0, 1), curve),
    }


def _place(x: Axis, y: Axis, point: Point) -> Point:
    """Where a point lies in the drawing."""
    return (
        LEFT + x.place(point[0]) * (WIDTH - LEFT - RIGHT),
        HEIGHT - BOTTOM - y.place(point[1]) * (HEIGHT - TOP - BOTTOM),
    )


def _grid(draw: ImageDraw.ImageDraw, x: Axis, y: Axis) -> None:
    for step in range(GRID_LINES + 1):
        along_x = x.low + (x.high - x.low) * step / GRID_LINES
        along_y = y.low + (y.high - y.low) * step / GRID_LINES
        draw.line((_place(x, y, (along_x, y.low)), _place(x, y, (along_x, y.high))), fill=GREY, width=FINE)
        draw.line((_place(x, y, (x.low, along_y)), _place(x, y, (x.high, along_y))), fill=GREY, width=FINE)
        px, py = _place(x, y, (along_x, along_y))
        _text(draw, (px, HEIGHT - BOTTOM + 14 * FINE), f"{along_x:.4g}", anchor="mm", size=11)
        _text(draw, (LEFT - 8 * FINE, py), f"{along_y:.3g}", anchor="rm", size=11)
    _text(draw, ((WIDTH + LEFT - RIGHT) / 2, HEIGHT - 14 * FINE), x.name, anchor="mm")
    _text(draw, (8 * FINE, TOP - 14 * FINE), y.name, anchor="lm")


def _legend(draw: ImageDraw.ImageDraw, names: Sequence[str], at: Point) -> None:
    whole = Axis("", 0, 1)
    x, y = _place(whole, whole, at)
    for number, name in enumerate(names):
        if name:
            place = (x, y + (number - (len(names) - 1) / 2) * 20 * FINE)
            colour = COLOURS[number % len(COLOURS)]
            _text(draw, place, name, anchor="rm" if at[0] > 1 / 2 else "lm", colour=colour)


def _text(  # noqa: PLR0913 - what a text needs
    draw: ImageDraw.ImageDraw,
    place: Point,
    text: str,
    *,
    anchor: str,
    size: int = 13,
    colour: tuple[int, int, int] = BLACK,
) -> None:
    font = ImageFont.load_default(size * FINE)
    draw.text(place, text, fill=colour, font=font, anchor=anchor)
