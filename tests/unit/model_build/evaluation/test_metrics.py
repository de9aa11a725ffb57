"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from model_build.evaluation import metrics
from model_build.evaluation.metrics import OperatingPoint

# Predictions 0, 0, 1, 0, 1 with confidence 0.9, 0.8, 0.8, 0.6, 0.7; the second and the last are wrong.
PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
LABELS = np.array([0, 1, 1, 0, 0])
NOBODY = np.zeros((0, 2))
NOTHING = np.zeros(0, dtype=np.int64)


def test_accuracy_and_coverage() -> None:
    assert metrics.accuracy(PROBABILITIES, LABELS) == 3 / 5
    assert metrics.acceptance_rate(PROBABILITIES, 0.8) == 3 / 5  # reaching the threshold is enough
    assert metrics.selective_accuracy(PROBABILITIES, LABELS, 0.8) == 2 / 3
    assert metrics.selective_accuracy(PROBABILITIES, LABELS, 0.95) is None


def test_figures_of_no_images_are_undefined() -> None:
    assert metrics.accuracy(NOBODY, NOTHING) is None
    assert metrics.acceptance_rate(NOBODY, 0.5) is None
    assert metrics.expected_calibration_error(NOBODY, NOTHING) is None
    assert metrics.auroc(np.array([0.5]), np.zeros(0)) is None
    assert metrics.operating_points(NOBODY, NOTHING) == []
    assert metrics.confusion_matrix(NOBODY, NOTHING) == [[0, 0], [0, 0]]


def test_auroc_counts_ties_half() -> None:
    # Of six pairs: 0.9 wins both, 0.5 wins one and ties one, 0.2 loses both: 3.5 of 6.
    assert metrics.auroc(np.array([0.9, 0.5, 0.2]), np.array([0.5, 0.4])) == pytest.approx(3.5 / 6)
    assert metrics.auroc(np.array([0.9]), np.array([0.1, 0.2])) == 1
    assert metrics.auroc(np.array([0.1]), np.array([0.9])) == 0


def test_calibration_error() -> None:
    # Two bins (0.5, 1]: all five answers, mean confidence 0.76, accuracy 0.6.
    assert metrics.expected_calibration_error(PROBABILITIES, LABELS, bins=2) == pytest.approx(0.16)
    # Ten bins: 0.9 right (gap 0.1), 0.8 half right (2 answers, gap 0.3), 0.6 right (0.4), 0.7 wrong (0.7).
    ten = metrics.expected_calibration_error(PROBABILITIES, LABELS, bins=10)
    assert ten == pytest.approx((0.1 + 2 * 0.3 + 0.4 + 0.7) / 5)
    assert sum(one.images for one in metrics.calibration_bins(PROBABILITIES, LABELS, 10)) == 5
    # A confidence of one has a bin.
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert metrics.expected_calibration_error(sure, np.array([0, 1])) == 0
    assert metrics.expected_calibration_error(sure, np.array([1, 0])) == 1


def test_confusion_has_true_classes_in_rows() -> None:
    assert metrics.confusion_matrix(PROBABILITIES, LABELS) == [[2, 1], [1, 1]]


def test_operating_points_keep_equal_confidences_together() -> None:
    points = metrics.operating_points(PROBABILITIES, LABELS)
    assert [point.threshold for point in points] == [0.9, 0.8, 0.7, 0.6]
    assert [point.coverage for point in points] == [1 / 5, 3 / 5, 4 / 5, 1]
    assert [point.selective_accuracy for point in points] == [1, 2 / 3, 2 / 4, 3 / 5]


def test_the_operating_point_for_a_target_has_the_highest_coverage() -> None:
    assert metrics.operating_point_for(PROBABILITIES, LABELS, 0.99) == OperatingPoint(0.9, 1 / 5, 1)
    best = metrics.operating_point_for(PROBABILITIES, LABELS, 0.55)
    assert best is not None
    assert best.threshold == 0.6  # though 0.7 alone would miss the target
    assert metrics.operating_point_for(PROBABILITIES[[1]], LABELS[[1]], 0.5) is None
    assert metrics.acceptance_rate(PROBABILITIES, best.threshold) == best.coverage


def test_wilson_interval() -> None:
    # 81 of 263 from the worked example of Wilson's score interval without continuity correction
    # (Newcombe 1998, Statistics in Medicine 17, table I, method 3).
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert metrics.wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert metrics.wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
