"""Wait for something that changes elsewhere: ask again, often at first and then less."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Rhythm:
    """How often to ask: a pause is a tenth of the seconds waited so far, within these; and what waits."""

    shortest_pause: float = 0.2
    longest_pause: float = 15.0
    sleep: Callable[[float], Any] = time.sleep


DEFAULT_RHYTHM: Final = Rhythm()


class PollingTimeoutError(TimeoutError, Generic[Answer]):
    """The awaited answer did not come in time; `last` is the last one, after so many seconds."""

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
    """Ask until an answer is final, a last time once `timeout_seconds` have passed; return that answer.

    `waiting` is called with every other answer and the seconds waited so far. An exception of `ask` or
    `until` ends the waiting. PollingTimeoutError if no answer was final within the time.
    """
    started, paused = time.monotonic(), 0.0
    while not until(answer := ask()):
        seconds = max(time.monotonic() - started, paused)  # pauses count even where `sleep` returns at once
        if seconds >= timeout_seconds:
            raise PollingTimeoutError(answer, seconds)
        if waiting:
            waiting(answer, seconds)
        pause = min(rhythm.longest_pause, max(rhythm.shortest_pause, seconds / 10))
        rhythm.sleep(pause)
        paused += pause
    return answer
