"""Metrics of a selective classifier: one that may abstain.

All functions take NumPy arrays: `probabilities` float [N, K] with rows that sum to 1, `labels` int [N] with
the true class of each row. The predicted class is the most probable one, its probability is the confidence,
and the prediction is accepted if the confidence reaches the threshold. A figure that is undefined for lack
of images is None.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ECE_BINS: Final = 15


def confidences(probabilities: Floats) -> Floats:
    """Return the confidence of each prediction, float [N]."""
    highest: Floats = probabilities.max(axis=1)
    return highest


def correct(probabilities: Floats, labels: Ints) -> Bools:
    """Return whether each prediction is correct, bool [N]."""
    equal: Bools = probabilities.argmax(axis=1) == labels
    return equal


def _share(chosen: Bools) -> float | None:
    return float(chosen.mean()) if len(chosen) else None


def accuracy(probabilities: Floats, labels: Ints) -> float | None:
    """Return the share of correct predictions, accepted or not."""
    return _share(correct(probabilities, labels))


def acceptance_rate(probabilities: Floats, threshold: float) -> float | None:
    """Return the share of accepted predictions: the coverage, or of negatives the false acceptance rate."""
    return _share(confidences(probabilities) >= threshold)


def selective_accuracy(probabilities: Floats, labels: Ints, threshold: float) -> float | None:
    """Return the share of correct predictions among the accepted ones."""
    return _share(correct(probabilities, labels)[confidences(probabilities) >= threshold])


def auroc(positive: Floats, negative: Floats) -> float | None:
    """Return the probability that a positive score [P] exceeds a negative one [M]; ties count half."""
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).mean() / (2 * len(negative)))


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions of similar confidence; `accuracy` is the share of correct ones."""

    images: int
    confidence: float
    accuracy: float


def calibration_bins(probabilities: Floats, labels: Ints, bins: int = ECE_BINS) -> list[CalibrationBin]:
    """Return accuracy by confidence, in intervals of equal width; empty ones are omitted."""
    confidence, is_correct = confidences(probabilities), correct(probabilities, labels)
    # Intervals are open below and closed above: a confidence of exactly 1 belongs to the last one.
    where = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        CalibrationBin(int(chosen.sum()), float(confidence[chosen].mean()), float(is_correct[chosen].mean()))
        for chosen in (where == number for number in range(bins))
        if chosen.any()
    ]


def expected_calibration_error(probabilities: Floats, labels: Ints, bins: int = ECE_BINS) -> float | None:
    """Return the mean gap of confidence and accuracy over the bins (Guo et al. 2017, arXiv:1706.04599)."""
    if not len(labels):
        return None
    filled = calibration_bins(probabilities, labels, bins)
    return sum(one.images * abs(one.confidence - one.accuracy) for one in filled) / len(labels)


def confusion_matrix(probabilities: Floats, labels: Ints) -> list[list[int]]:
    """Return counts [K][K]: rows are true classes, columns predicted ones."""
    counts = np.zeros((probabilities.shape[1],) * 2, dtype=int)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    rows: list[list[int]] = counts.tolist()
    return rows


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the share of predictions accepted at it, and the share of correct ones among them."""

    threshold: float
    coverage: float
    selective_accuracy: float


def operating_points(probabilities: Floats, labels: Ints) -> list[OperatingPoint]:
    """Return the risk-coverage curve (El-Yaniv and Wiener 2010), from the highest threshold to the lowest."""
    confidence = confidences(probabilities)
    order = np.argsort(-confidence, kind="stable")
    ranked, hits = confidence[order], correct(probabilities, labels)[order].cumsum()
    # Predictions of equal confidence are accepted or rejected together: only the last of a run counts.
    ends = [i for i in range(len(ranked)) if i + 1 == len(ranked) or ranked[i + 1] != ranked[i]]
    return [OperatingPoint(float(ranked[i]), (i + 1) / len(ranked), float(hits[i] / (i + 1))) for i in ends]


def operating_point_for(probabilities: Floats, labels: Ints, target: float) -> OperatingPoint | None:
    """Return the point of highest coverage whose selective accuracy reaches a target; None if none does."""
    good = [one for one in operating_points(probabilities, labels) if one.selective_accuracy >= target]
    return max(good, key=lambda one: one.coverage, default=None)


def wilson_interval(hits: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion of one trial or more, 95 % by default."""
    centre = (hits + z * z / 2) / (trials + z * z)
    half = z / (trials + z * z) * sqrt(hits * (trials - hits) / trials + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)
