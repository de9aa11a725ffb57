"""When photos are sent, and which: an open schedule, drawn beforehand from a seed.

Open means that a photo is due whatever became of those before it. A generator that waits for answers sends
less while the system is slow, and measures the latency that its own politeness leaves (coordinated omission).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Final

from commandline.errors import UsageError

KINDS: Final = ("good", "doubtful", "broken", "duplicate", "overwritten")
"""`duplicate`: the workflow is started twice; `overwritten`: two versions of one key, one after the other."""
SHAPES: Final = ("constant", "poisson", "burst")
DEFAULT_MIX: Final = "good=.8,doubtful=.1,broken=.05,duplicate=.05"
_SUM_TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class Plan:
    """How photos arrive.

    Attributes:
        rate: photos a second, on average.
        duration_s: for how long.
        shape: `constant`, `poisson` (independent arrivals), or `burst`: `burst` photos at once, as often as
            the rate needs.
        burst: photos of one burst.
        mix: shares of `KINDS`, which sum to 1.
        seed: equal seeds give equal schedules.
    """

    rate: float
    duration_s: float
    shape: str = "poisson"
    burst: int = 10
    mix: Mapping[str, float] | None = None
    seed: int = 0

    def arrivals(self) -> list[float]:
        """Return the seconds from the start at which photos are due, in order."""
        if self.shape == "poisson":
            chance = random.Random(self.seed)  # noqa: S311  # a schedule, no secret
            gaps = iter(lambda: chance.expovariate(self.rate), None)
            return list(takewhile(lambda due: due < self.duration_s, accumulate(gaps)))
        together = self.burst if self.shape == "burst" else 1
        count = max(1, round(self.rate * self.duration_s))
        return [number // together * together / self.rate for number in range(count)]

    def kinds(self, count: int) -> list[str]:
        """Return the kinds of so many photos."""
        chance = random.Random(self.seed + 1)  # noqa: S311  # a schedule, no secret
        mix = self.mix or parse_mix(DEFAULT_MIX)
        return chance.choices(list(mix), list(mix.values()), k=count)


def parse_mix(text: str) -> dict[str, float]:
    """Read shares such as `good=.8,doubtful=.2`.

    Raises:
        UsageError: a kind is unknown or named twice, a share is no number from 0 to 1, or their sum is not 1.
    """
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        if name not in KINDS:
            raise UsageError(f"--mix: {name!r} is none of {', '.join(KINDS)}")
        if name in mix:
            raise UsageError(f"--mix: {name} is named twice")
        try:
            mix[name] = float(share)
        except ValueError:
            raise UsageError(f"--mix: {part.strip()!r} is not a share such as {name}=.5") from None
        if not 0 <= mix[name] <= 1:
            raise UsageError(f"--mix: {name}={share} is not a share from 0 to 1")
    if abs(sum(mix.values()) - 1) > _SUM_TOLERANCE:
        raise UsageError(f"--mix: the shares sum to {sum(mix.values()):g}, not to 1")
    return mix
