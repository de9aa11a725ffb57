"""What is measured of a classifier that may decline to answer.

All functions take NumPy arrays: `probabilities` float [N, K] with rows that sum to 1, `labels` int [N] with
the right column of each row. An answer is the most probable class, its probability is the answer's
confidence, and it is accepted when the confidence reaches the threshold. What cannot be said of no images is
None.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ECE_BINS: Final = 15


def confidences(probabilities: Floats) -> Floats:
    """The confidence of each answer, [N]."""
    found: Floats = probabilities.max(axis=1)
    return found


def right(probabilities: Floats, labels: Ints) -> npt.NDArray[np.bool_]:
    """Whether each answer is right, [N]."""
    found: npt.NDArray[np.bool_] = probabilities.argmax(axis=1) == labels
    return found


def share(chosen: npt.NDArray[np.bool_]) -> float | None:
    """The share of True values."""
    return float(chosen.mean()) if len(chosen) else None


def accuracy(probabilities: Floats, labels: Ints) -> float | None:
    """The share of right answers, accepted or not."""
    return share(right(probabilities, labels))


def accepted_share(probabilities: Floats, threshold: float) -> float | None:
    """The share of accepted answers: coverage on known classes, mistakes on images of none of them."""
    return share(confidences(probabilities) >= threshold)


def selective_accuracy(probabilities: Floats, labels: Ints, threshold: float) -> float | None:
    """The share of right answers among the accepted ones."""
    return share(right(probabilities, labels)[confidences(probabilities) >= threshold])


def auroc(positive: Floats, negative: Floats) -> float | None:
    """The probability that a random positive score is above a random negative one; ties count half.

    Args:
        positive: scores [P], such as the confidences on images of known classes.
        negative: scores [M], such as the confidences on other images.
    """
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).mean() / (2 * len(negative)))


@dataclass(frozen=True)
class Bin:
    """Answers of similar confidence.

    Attributes:
        images: how many there are.
        confidence: their mean confidence.
        accuracy: the share of right ones.
    """

    images: int
    confidence: float
    accuracy: float


def reliability(probabilities: Floats, labels: Ints, bins: int = ECE_BINS) -> list[Bin]:
    """Confidence against accuracy in equal intervals of confidence, empty ones left out."""
    confidence, correct = confidences(probabilities), right(probabilities, labels)
    # Intervals are open below and closed above: a confidence of exactly 1 belongs to the last one.
    where = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        Bin(int(chosen.sum()), float(confidence[chosen].mean()), float(correct[chosen].mean()))
        for chosen in (where == number for number in range(bins))
        if chosen.any()
    ]


def expected_calibration_error(probabilities: Floats, labels: Ints, bins: int = ECE_BINS) -> float | None:
    """Mean distance of confidence and accuracy over equal intervals (Guo et al. 2017, arXiv:1706.04599)."""
    if not len(labels):
        return None
    filled = reliability(probabilities, labels, bins)
    return sum(one.images * abs(one.confidence - one.accuracy) for one in filled) / len(labels)


def confusion(probabilities: Floats, labels: Ints) -> list[list[int]]:
    """Counts [K][K]: one row per true class, one column per answer."""
    classes = probabilities.shape[1]
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    rows: list[list[int]] = counts.tolist()
    return rows


@dataclass(frozen=True)
class Choice:
    """A threshold and what it gives.

    Attributes:
        threshold: the lowest accepted confidence.
        coverage: share of accepted answers.
        selective_accuracy: share of right ones among them.
    """

    threshold: float
    coverage: float
    selective_accuracy: float


def trade_off(probabilities: Floats, labels: Ints) -> list[Choice]:
    """What each threshold that makes a difference gives, from the highest (least accepted) to the lowest."""
    confidence = confidences(probabilities)
    order = np.argsort(-confidence, kind="stable")
    ranked, hits = confidence[order], right(probabilities, labels)[order].cumsum()
    # Answers of one confidence are accepted or declined together: only the last of each run is a choice.
    ends = [i for i in range(len(ranked)) if i + 1 == len(ranked) or ranked[i + 1] != ranked[i]]
    return [Choice(float(ranked[i]), (i + 1) / len(ranked), float(hits[i] / (i + 1))) for i in ends]


def threshold_for(probabilities: Floats, labels: Ints, target: float) -> Choice | None:
    """The choice that accepts most with at least `target` of the accepted right; None if there is none."""
    good = [choice for choice in trade_off(probabilities, labels) if choice.selective_accuracy >= target]
    return max(good, key=lambda choice: choice.coverage, default=None)


def wilson_interval(hits: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share that was `hits` of `trials` (Wilson's score interval); trials > 0."""
    centre = (hits + z * z / 2) / (trials + z * z)
    half = z / (trials + z * z) * sqrt(hits * (trials - hits) / trials + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)
