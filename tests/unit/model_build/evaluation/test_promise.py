"""Error bounds and promised thresholds, against scipy and against what follows from their definition."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from model_build.evaluation.metrics import Floats, Ints
from model_build.evaluation.promise import (
    THRESHOLDS,
    ErrorBound,
    choose_threshold,
    error_bound,
    images_for,
)


@pytest.mark.parametrize(("errors", "images"), [(0, 1), (0, 89), (3, 186), (1, 103), (30, 31), (7, 20_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_the_bound_is_clopper_and_pearsons(errors: int, images: int, confidence: float) -> None:
    expected = stats.beta.ppf(confidence, errors + 1, images - errors)
    assert error_bound(errors, images, confidence) == pytest.approx(expected, rel=1e-9)


def test_errors_are_counted_among_the_accepted() -> None:
    probabilities, labels = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.1, 0.9]]), np.array([0, 1, 0, 1])
    bound = ErrorBound.of(probabilities, labels, 0.75)
    assert (bound.images, bound.errors) == (3, 1)
    assert bound.rate == error_bound(1, 3)
    assert ErrorBound.of(probabilities, labels, 0.95).rate is None


@pytest.mark.parametrize(
    ("rate", "images"), [(0.01, 299), (0.05, 59), (0.5, 5)], ids=["one-percent", "five-percent", "half"]
)
def test_images_for_a_proof_without_an_error(rate: float, images: int) -> None:
    assert images_for(rate, 0.0) == images
    assert error_bound(0, images) <= rate < error_bound(0, images - 1)


def answers(confident: int, doubtful: int, wrong: int = 0) -> tuple[Floats, Ints]:
    """Return predictions with confidence 0.995, `wrong` of them wrong, and correct ones with 0.7."""
    probabilities = np.array([[0.995, 0.005]] * confident + [[0.7, 0.3]] * doubtful)
    return probabilities, np.array([1] * wrong + [0] * (confident - wrong + doubtful))


def test_the_lowest_threshold_that_can_be_proven_is_chosen() -> None:
    choice = choose_threshold(*answers(400, 400), rate=0.01)
    assert (choice.threshold, choice.accepted, choice.errors, choice.missing) == (THRESHOLDS[-1], 800, 0, 0)


def test_the_sequence_ends_at_the_first_threshold_that_cannot_be_proven() -> None:
    probabilities, labels = answers(400, 400)
    labels[400:410] = 1  # at 0.7 ten are wrong
    choice = choose_threshold(probabilities, labels, rate=0.01)
    assert choice.threshold == 0.71
    assert (choice.accepted, choice.errors) == (400, 0)


def test_what_is_missing_for_a_proof_is_enough() -> None:
    choice = choose_threshold(*answers(200, 100), rate=0.01)
    assert choice.threshold is None
    assert choice.missing == 149  # 299 accepted ones take 448.5 labelled ones
    assert choose_threshold(*answers(300, 150), rate=0.01).threshold is not None


def test_a_false_promise_is_as_rare_as_said() -> None:
    """Every threshold of this model is wrong more often than promised: any choice is a false promise."""
    random = np.random.default_rng(0)
    promised = 0
    for _ in range(400):
        confidences = random.uniform(0.98, 1, 300)
        labels = (random.random(300) < 0.0501).astype(np.int64)
        probabilities = np.stack([confidences, 1 - confidences], axis=1)
        promised += choose_threshold(probabilities, labels, rate=0.05).threshold is not None
    assert promised > 0
    assert stats.binom.sf(promised - 1, 400, 0.05) > 0.001  # no more than 1 of 20, but for chance
