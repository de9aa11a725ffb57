"""Retries of a workflow wait as long as Step Functions makes them wait: with jitter, up to a maximum.

ministack ignores `JitterStrategy` and `MaxDelaySeconds`, so that all photos of a burst come back at once.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error
"""

import inspect
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from localcloud.ministack.errors import IncompatibleMinistackError

_DEFAULT_INTERVAL_S: Final = 1
_DEFAULT_RATE: Final = 2.0
_random = random.Random()  # noqa: S311  # no secret


def delay_seconds(retrier: Mapping[str, Any], retries: int, share: float) -> float:
    """Return how long a retry waits.

    Args:
        retrier: an entry of a state's `Retry`.
        retries: how many were made before.
        share: a random number from 0 to 1, for `"JitterStrategy": "FULL"`.
    """
    delay = float(retrier.get("IntervalSeconds", _DEFAULT_INTERVAL_S))
    delay *= float(retrier.get("BackoffRate", _DEFAULT_RATE)) ** retries
    delay = min(delay, float(retrier.get("MaxDelaySeconds", delay)))
    return share * delay if retrier.get("JitterStrategy") == "FULL" else delay


def with_delays(find: Callable[..., Any]) -> Callable[..., Any]:
    """Return ministack's search for the retrier of an error, with a constant interval of the right length."""

    def find_with_delay(retriers: Any, error: Any, counts: Mapping[int, int]) -> Any:
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return retrier, index
        seconds = delay_seconds(retrier, counts.get(index, 0), _random.random())
        return {**retrier, "IntervalSeconds": seconds, "BackoffRate": 1.0}, index

    return find_with_delay


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack.services import stepfunctions  # type: ignore[import-untyped]  # noqa: PLC0415

    find = stepfunctions._find_matching_retrier  # noqa: SLF001
    if list(inspect.signature(find).parameters) != ["retriers", "error", "retry_counts"]:
        raise IncompatibleMinistackError("Step Functions looks for retriers in another way")
    stepfunctions._find_matching_retrier = with_delays(find)  # noqa: SLF001
