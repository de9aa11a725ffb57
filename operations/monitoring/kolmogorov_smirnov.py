"""The two-sample Kolmogorov-Smirnov test with exact p-values."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Distances beyond this many times sqrt(1 / m + 1 / n) have p < 1e-17: Smirnov's limit will do.
_NEGLIGIBLE: Final = 4.5


@dataclass(frozen=True)
class Difference:
    """How two samples differ.

    Attributes:
        statistic: the largest distance of the two empirical distribution functions, 0 to 1.
        value: where that is; the shares of values up to it are compared.
        higher: whether the second sample has the higher values there.
        p_value: probability of such a distance, or a larger one, between two samples of one distribution.
    """

    statistic: float
    value: float
    higher: bool
    p_value: float


def compare(first: Floats, second: Floats) -> Difference:
    """Test whether two samples come from one distribution.

    The test assumes nothing of that distribution. Values that occur several times make it conservative: the
    p-value is then too large, never too small.

    Args:
        first: [m], m > 0, in any order.
        second: [n], n > 0.

    Raises:
        ValueError: a sample is empty.
    """
    m, n = len(first), len(second)
    if not m or not n:
        raise ValueError("both samples need at least one value")
    first, second = np.sort(first), np.sort(second)
    places = np.concatenate([first, second])
    # In units of 1 / (m n), so that equal distances are equal numbers.
    below_first = np.searchsorted(first, places, side="right").astype(np.int64) * n
    below_second = np.searchsorted(second, places, side="right").astype(np.int64) * m
    gaps = below_first - below_second
    where = int(np.argmax(np.abs(gaps)))
    steps = int(abs(gaps[where]))
    return Difference(
        statistic=steps / (m * n),
        value=float(places[where]),
        higher=bool(gaps[where] > 0),
        p_value=exact_p_value(steps, m, n),
    )


def exact_p_value(steps: int, m: int, n: int) -> float:
    """Return the probability of a distance of at least steps / (m n) between samples of one distribution.

    Counts the orders of the pooled values whose distance stays below `steps`: lattice paths from (0, 0) to
    (m, n) inside a band (Hodges 1958, The significance probability of the Smirnov two-sample test). Row by
    row, a cell's number of paths is the sum of those of its two predecessors. The numbers are weighted with
    the probability of such paths in a random walk along the diagonal, so that they neither overflow nor
    vanish for samples of up to 10,000 values.

    Args:
        steps: the distance in units of 1 / (m n).
        m: size of one sample.
        n: size of the other.

    Returns:
        The p-value, accurate to about 1e-10.
    """
    if steps <= 0:
        return 1.0
    m, n = min(m, n), max(m, n)
    scaled = steps / math.sqrt(m * n * (m + n))
    if scaled > _NEGLIGIBLE:
        return min(1.0, 2 * math.exp(-2 * scaled**2))
    across, down = math.log(n / (m + n)), math.log(m / (m + n))
    weight = math.exp(down + across * n / m)
    rows = np.arange(m + 1, dtype=np.int64) * n
    lows = np.maximum((rows - steps) // m + 1, 0).tolist()
    highs = np.minimum((rows + steps - 1) // m + 1, n + 1).tolist()
    inside = np.zeros(n + 1)
    inside[: highs[0]] = 1.0
    for low, high in zip(lows[1:], highs[1:], strict=True):
        inside[:low] = 0.0
        inside[low:high] = np.cumsum(inside[low:high] * weight)
    paths = math.lgamma(m + n + 1) - math.lgamma(m + 1) - math.lgamma(n + 1)
    share = inside[n] / math.exp(paths + m * down + n * across)
    return float(min(max(1.0 - share, 0.0), 1.0))
