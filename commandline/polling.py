"""Wait for something that changes elsewhere: ask again, often at first and then less."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from tenacity import RetryCallState, RetryError, Retrying, retry_if_result

__all__ = ["PollingTimeoutError", "Rhythm", "poll"]

Answer = TypeVar("Answer")
GROWTH: Final = 0.1  # a pause is this share of the time waited so far


@dataclass(frozen=True)
class Rhythm:
    """How often to ask: pauses in seconds, and what waits."""

    shortest_pause: float = 0.2
    longest_pause: float = 15.0
    sleep: Callable[[float], Any] = time.sleep

    def pause_after(self, seconds: float) -> float:
        """Return the seconds to wait once so many have been waited."""
        return min(self.longest_pause, max(self.shortest_pause, GROWTH * seconds))


DEFAULT_RHYTHM: Final = Rhythm()


class PollingTimeoutError(TimeoutError, Generic[Answer]):
    """The awaited answer did not come in time."""

    def __init__(self, last: Answer, seconds: float) -> None:
        super().__init__(f"no final answer after {seconds:.0f} s")
        self.last = last
        self.seconds = seconds


def poll(
    ask: Callable[[], Answer],
    *,
    until: Callable[[Answer], bool],
    timeout_seconds: float,
    rhythm: Rhythm = DEFAULT_RHYTHM,
    waiting: Callable[[Answer, float], Any] | None = None,
) -> Answer:
    """Ask until an answer is final. An exception of `ask` or `until` ends the waiting.

    Returns:
        The final answer.

    Raises:
        PollingTimeoutError: no answer was final within the time.
    """

    def waited(state: RetryCallState) -> float:
        # The pauses count even where `sleep` returns at once.
        return max(float(state.seconds_since_start or 0.0), float(state.idle_for))

    def answer(state: RetryCallState) -> Answer:
        if state.outcome is None:  # tenacity sets it before it calls any of the functions below
            raise AssertionError("no answer yet")
        result: Answer = state.outcome.result()
        return result

    def report(state: RetryCallState) -> None:
        if waiting is not None:
            waiting(answer(state), waited(state))

    retrying = Retrying(
        retry=retry_if_result(lambda result: not until(result)),
        wait=lambda state: rhythm.pause_after(waited(state)),
        stop=lambda state: waited(state) >= timeout_seconds,
        before_sleep=report,
        sleep=rhythm.sleep,
    )
    started = time.monotonic()
    try:
        return retrying(ask)
    except RetryError as error:
        seconds = max(time.monotonic() - started, timeout_seconds)
        raise PollingTimeoutError(error.last_attempt.result(), seconds) from None
