"""Promises with proof: an upper bound of the error rate, and a threshold for a promised one.

Of `images` accepted images `errors` are wrong. If images are drawn independently from what the model will
see, the number of errors is binomial, and Clopper and Pearson's bound on the error rate is exact: it is too
low in at most 1 of 20 samples. A threshold chosen on the same images needs more care: it is chosen by fixed
sequence testing, as in Learn then Test (Angelopoulos et al., https://arxiv.org/abs/2110.01052, section 4),
which keeps the probability of a false promise, whatever the model.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

from model_build.evaluation import metrics
from model_build.evaluation.metrics import Floats, Ints

CONFIDENCE: Final = 0.95  # one-sided
# Tested from the highest down to the first that cannot be proven. They must not depend on the images.
THRESHOLDS: Final = tuple(percent / 100 for percent in range(99, 50, -1))
STEPS: Final = 60  # of bisection: more than a float's digits
MOST_IMAGES: Final = 1_000_000


def binomial_cdf(successes: int, trials: int, probability: float) -> float:
    """Return the probability of at most `successes` successes in independent trials."""
    if successes >= trials or probability <= 0:
        return 1.0
    if successes < 0 or probability >= 1:
        return 0.0
    odds = math.log(probability) - math.log1p(-probability)
    term = trials * math.log1p(-probability)  # log of the probability of no success
    total = math.exp(term)
    for count in range(successes):
        term += math.log(trials - count) - math.log(count + 1) + odds
        total += math.exp(term)
    return min(total, 1.0)


def error_bound(errors: int, images: int, confidence: float = CONFIDENCE) -> float:
    """Return Clopper and Pearson's upper bound of an error rate (https://doi.org/10.1093/biomet/26.4.404)."""
    if errors >= images:
        return 1.0
    low, high = errors / images, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if binomial_cdf(errors, images, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def images_for(rate: float, expected: float, confidence: float = CONFIDENCE) -> int | None:
    """Return how many accepted images of an expected error rate prove a higher one; None above a million."""
    if expected >= rate:
        return None

    def proves(images: int) -> bool:
        return binomial_cdf(math.ceil(expected * images), images, rate) <= 1 - confidence

    enough = 1
    while not proves(enough):
        enough *= 2
        if enough > MOST_IMAGES:
            return None
    return bisect_left(range(enough), True, enough // 2 + 1, key=proves)


@dataclass(frozen=True)
class ErrorBound:
    """How many of the accepted images of the labels are wrong at most."""

    images: int
    errors: int
    rate: float | None  # the upper bound of the share of errors; None of no images
    confidence: float = CONFIDENCE

    @classmethod
    def of(cls, probabilities: Floats, labels: Ints, threshold: float) -> "ErrorBound":
        """Return the bound for predictions [N, K] of images with labels [N]."""
        accepted = metrics.confidences(probabilities) >= threshold
        images = int(accepted.sum())
        errors = int((accepted & ~metrics.correct(probabilities, labels)).sum())
        return cls(images, errors, error_bound(errors, images) if images else None)

    def sentence(self) -> str:
        """Return how many accepted predictions are wrong at most."""
        if self.rate is None:
            return "nothing was accepted"
        return (
            f"{self.errors} of {self.images} accepted predictions are wrong: of such images at most "
            f"{_percent(self.rate)} are, with {100 * self.confidence:.0f} % confidence"
        )


def _percent(rate: float) -> str:
    """Return a rate as a percentage, rounded up: a bound must not lose by rounding."""
    return f"{math.ceil(rate * 10_000 - 1e-9) / 100:g} %"


@dataclass(frozen=True)
class Promise:
    """The result of choosing a threshold for a promised error rate."""

    rate: float  # the promised share of errors among accepted images of the labels
    confidence: float
    threshold: float | None  # the lowest that could be proven; None if none could
    accepted: int
    errors: int
    # Labelled images that a proof lacks, if further ones are accepted and wrong as often as these; 0 with a
    # threshold, None if no number of such images would prove the rate.
    missing: int | None

    def sentence(self) -> str:
        """Return which threshold keeps the promised error rate, or what a proof lacks."""
        sure = f"{100 * self.confidence:.0f} %"
        wanted = f"at most {_percent(self.rate)} of the accepted wrong, with {sure} confidence"
        seen = f"{self.errors} of {self.accepted} accepted are wrong"
        if self.threshold is not None:
            return f"threshold {self.threshold:.2f} promises {wanted} ({seen})"
        lacking = (
            "no number of images like these proves it"
            if self.missing is None
            else f"about {self.missing:,} further labelled images like these would be needed for a proof"
        )
        return f"no threshold promises {wanted}: at the highest tested {seen}, and {lacking}"


def choose_threshold(
    probabilities: Floats, labels: Ints, rate: float, confidence: float = CONFIDENCE
) -> Promise:
    """Choose the lowest threshold that provably has at most a given share of errors among accepted images.

    Probabilities [N, K] and labels [N] must be of images that served no other choice.
    """
    wrong = ~metrics.correct(probabilities, labels)
    confidences = metrics.confidences(probabilities)
    proven: Promise | None = None
    for threshold in THRESHOLDS:
        accepted = confidences >= threshold
        count, errors = int(accepted.sum()), int((accepted & wrong).sum())
        if binomial_cdf(errors, count, rate) > 1 - confidence:  # the p-value of "the rate is higher"
            break
        proven = Promise(rate, confidence, threshold, count, errors, 0)
    if proven:
        return proven
    needed = images_for(
        rate, errors / max(count, 1), confidence
    )  # of the highest threshold, the only one tested
    missing = math.ceil((needed - count) * len(labels) / count) if needed and count else None
    return Promise(rate, confidence, None, count, errors, missing)
