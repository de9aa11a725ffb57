"""Figures of predictions that are known beforehand."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from model_build.evaluation.predictions import Predictions
from model_build.evaluation.report import (
    Metrics,
    Misclassified,
    NegativeClass,
    negatives_by_class,
    set_report,
)

LABELS = ("red", "blue")


def predictions(
    probabilities: list[list[float]],
    labels: list[int],
    negatives: Sequence[tuple[str, list[float]]] = (),
    **more: Any,
) -> Predictions:
    return Predictions(
        names=tuple(f"image {number}" for number in range(len(labels))),
        probabilities=np.array(probabilities).reshape(-1, 2),
        labels=np.array(labels, dtype=np.int64),
        negatives=np.array([row for _, row in negatives]).reshape(-1, 2),
        negative_names=tuple(name for name, _ in negatives),
        **more,
    )


FOUR = predictions(
    [[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]],
    [1, 1, 1, 0],
    [("cat/1", [0.9, 0.1]), ("cat/2", [0.5, 0.5]), ("dog/1", [0.15, 0.85])],
)


def test_metrics() -> None:
    assert asdict(Metrics.of(FOUR, 0.75)) == pytest.approx(
        {
            "images": 4,
            "accuracy": 1 / 4,
            "coverage": 2 / 4,
            "selective_accuracy": 1 / 2,
            "ece": (0.6 + 0.9 + 0.2 + 0.7) / 4,
            "other_images": 3,
            "other_accepted": 2 / 3,
            # of 0.6, 0.9, 0.8, 0.7 against 0.9, 0.5, 0.85: 1 + 2.5 + 1 + 1 of 12
            "other_auroc": (1 + 2.5 + 1 + 1) / 12,
            "jpeg_accuracy": None,
        }
    )


def test_rejection_compares_images_of_equal_compression() -> None:
    plain, compressed = [[0.9, 0.1]], np.array([[0.4, 0.6]])
    found = Metrics.of(predictions(plain, [0], [("cat/1", [0.7, 0.3])], jpeg_probabilities=compressed), 0.8)
    assert found.other_auroc == 0  # 0.6 against 0.7; uncompressed it would be 1
    assert found.coverage == found.accuracy == 1  # of the image as it is
    assert found.jpeg_accuracy == 0


def test_errors_are_listed_the_most_confident_first() -> None:
    report = set_report(FOUR, LABELS, 0.75)
    assert report.mistakes == (
        Misclassified("image 1", "red", 0.9),
        Misclassified("image 3", "blue", 0.7),
        Misclassified("image 0", "red", 0.6),
    )
    assert report.false_acceptances == (
        Misclassified("cat/1", "red", 0.9),
        Misclassified("dog/1", "blue", 0.85),
    )
    assert report.confusion == [[0, 1], [2, 1]]
    shortened = set_report(FOUR, LABELS, 0.75, most_errors=1)
    assert shortened.mistakes == report.mistakes[:1]
    assert shortened.false_acceptances == report.false_acceptances[:1]


def test_negatives_by_class() -> None:
    # The network has an output for cats: only dogs were never seen.
    by_class, unseen = negatives_by_class(FOUR, 0.75, ["red", "blue", "cat"])
    assert by_class == {"cat": NegativeClass(2, 1 / 2), "dog": NegativeClass(1, 1.0)}
    assert (unseen.kinds, unseen.images, unseen.accepted) == (("dog",), 1, 1.0)
    assert unseen.auroc == 1 / 4  # 0.9 of 0.6, 0.9, 0.8, 0.7 exceeds 0.85
