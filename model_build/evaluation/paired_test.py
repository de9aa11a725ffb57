"""Whether one model is better than another on the same photos: McNemar's test, exact and one-sided.

Photos on which both models are right, or both wrong, tell nothing about the difference. Of the others, a
model that is no better wins each with a probability of one half at most.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

SIGNIFICANCE: Final = 0.05
POWER: Final = 0.8
# Quantiles of the normal distribution: 0.95 and 0.8.
_Z_SIGNIFICANCE: Final = 1.6449
_Z_POWER: Final = 0.8416


@dataclass(frozen=True)
class PairedResult:
    """The photos on which two models differ."""

    photos: int
    gained: int
    lost: int

    @property
    def p_value(self) -> float:
        """Probability that a model that is no better gains so many of the photos that differ, or more."""
        return tail(self.gained, self.gained + self.lost)

    @property
    def p_value_worse(self) -> float:
        """Probability that a model that is no worse loses so many of them, or more."""
        return tail(self.lost, self.gained + self.lost)

    @property
    def better(self) -> bool:
        """Whether the new model is better, at a significance level of 5 %."""
        return self.gained > self.lost and self.p_value <= SIGNIFICANCE

    @property
    def worse(self) -> bool:
        """Whether the new model is worse, at a significance level of 5 %."""
        return self.lost > self.gained and self.p_value_worse <= SIGNIFICANCE

    def photos_missing(self) -> int | None:
        """Return about how many more photos would show the difference, if it is as large as it looks.

        Connor 1987, Sample size for testing differences in proportions for the paired-sample design, for a
        power of 80 %; at two digits.

        Returns:
            None if the new model does not look better.
        """
        if self.gained <= self.lost:
            return None
        gained, lost = self.gained / self.photos, self.lost / self.photos
        spread, difference = gained + lost, gained - lost
        root = _Z_SIGNIFICANCE * math.sqrt(spread) + _Z_POWER * math.sqrt(spread - difference**2)
        missing = (root / difference) ** 2 - self.photos
        # So near to it that the formula sees nothing missing: one photo that differs more may do.
        return two_digits(max(missing, 1 / spread))


def tail(successes: int, trials: int) -> float:
    """Return the probability of at least so many successes in trials that succeed half of the time."""
    ways = sum(math.comb(trials, count) for count in range(successes, trials + 1))
    return float(Fraction(ways, 2**trials))


def two_digits(value: float) -> int:
    """Round a positive number up to a whole one of two digits."""
    power = int(10 ** max(0, math.floor(math.log10(value)) - 1))
    return math.ceil(value / power) * power
