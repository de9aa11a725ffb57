"""Charts of an evaluation and of a training run, drawn with matplotlib.

The same data gives the same PNG bytes under one version of matplotlib: the style does not depend on the
user's configuration, and the files contain neither time nor version. Figures are drawn without pyplot, so
there is no global state and no display is needed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model_build.evaluation import metrics
from model_build.evaluation.predictions import Predictions

SIZE: Final = (5.6, 4.0)  # inches
DPI: Final = 110
# Okabe and Ito's palette, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
STYLE: Final[list[str | dict[str, Any]]] = [
    "default",  # whatever the user's configuration says
    {
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 10,
        "grid.color": "#DDDDDD",
        "legend.frameon": False,
    },
]
LARGEST_MARKER: Final = 250.0  # points squared, of a bin with all images
SMALLEST_MARKER: Final = 15.0


def confusion_matrix(counts: Sequence[Sequence[int]], labels: Sequence[str], images: str) -> Figure:
    """Draw counts [K][K], true classes in rows, predicted ones in columns, shaded by their share of a row."""
    with _figure(f"Confusion matrix, {images}") as (figure, axes):
        rows = np.array(counts)
        shares = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.grid(visible=False)
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 1 / 2 else "black"
            count = str(rows[row, column])
            axes.text(column, row, count, ha="center", va="center", color=colour, fontsize=14)
    return figure


def reliability_diagram(predictions: Predictions, images: str) -> Figure:
    """Draw the accuracy of each confidence bin; the area of a marker shows how many images are in the bin."""
    probabilities, labels = predictions.probabilities, predictions.labels
    bins = metrics.calibration_bins(probabilities, labels)
    error = metrics.expected_calibration_error(probabilities, labels)
    lowest = 1 / probabilities.shape[1]  # the least confidence there can be
    with _figure(f"Reliability diagram, {images} (ECE {error:.3f})") as (figure, axes):
        confidence, accuracy = [one.confidence for one in bins], [one.accuracy for one in bins]
        areas = [SMALLEST_MARKER + LARGEST_MARKER * one.images / len(labels) for one in bins]
        axes.plot([lowest, 1], [lowest, 1], "--", color=GREY, label="perfect calibration")
        name = "confidence bin (area: number of images)"
        axes.scatter(confidence, accuracy, s=areas, color=BLUE, label=name, clip_on=False, zorder=3)
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(lowest, 1), ylim=(0, 1))
        axes.legend(loc="lower right")
    return figure


def risk_coverage_curve(predictions: Predictions, threshold: float, images: str) -> Figure:
    """Draw selective risk and, if there are negatives, the false acceptance rate against coverage."""
    probabilities, labels = predictions.probabilities, predictions.labels
    points = metrics.operating_points(probabilities, labels)
    coverage = [one.coverage for one in points]
    with _figure(f"Risk-coverage curve, {images}") as (figure, axes):
        risk = [1 - one.selective_accuracy for one in points]
        axes.plot(coverage, risk, color=BLUE, label="selective risk (1 - selective accuracy)")
        if len(predictions.negatives):
            confidence = metrics.confidences(predictions.negatives)
            rates = [float(np.mean(confidence >= one.threshold)) for one in points]
            axes.plot(coverage, rates, color=ORANGE, label="false acceptance rate")
        accepted = metrics.confidences(probabilities) >= threshold
        if accepted.any():
            x, y = accepted.mean(), 1 - metrics.correct(probabilities, labels)[accepted].mean()
            name = f"operating point (threshold {threshold:g})"
            axes.plot([x], [y], "o", color=GREEN, label=name, clip_on=False, zorder=3)
        axes.set(xlabel="coverage", ylabel="rate", xlim=(0, 1), ylim=(0, None))
        axes.legend(loc="upper left")
    return figure


def training_curve(name: str, values: Sequence[float]) -> Figure:
    """Draw a figure of each epoch on the augmented training images."""
    with _figure(f"Training {name}") as (figure, axes):
        axes.plot(range(1, len(values) + 1), values, color=BLUE, marker="o", markersize=3)
        axes.set(xlabel="epoch", ylabel=f"{name} on augmented training images", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, without the version of matplotlib that drew it."""
    with matplotlib.style.context(STYLE):
        figure.savefig(path, format="png", metadata={"Software": None}, pil_kwargs={"optimize": True})


@contextmanager
def _figure(title: str) -> Iterator[tuple[Figure, Axes]]:
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.set_title(title)
        yield figure, axes
