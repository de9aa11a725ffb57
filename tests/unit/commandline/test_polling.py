"""Polling: how often it asks, when it ends, and what it reports."""

from collections.abc import Callable

import pytest

from commandline.polling import PollingTimeoutError, Rhythm, poll


def answers(*given: str) -> Callable[[], str]:
    """Return a question with these answers, the last one repeated."""
    left = list(given)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_returns_the_first_final_answer_and_reports_those_before_it() -> None:
    seen: list[tuple[str, float]] = []
    result = poll(
        answers("Creating", "Creating", "InService"),
        until=lambda answer: answer == "InService",
        timeout_seconds=60,
        waiting=lambda answer, seconds: seen.append((answer, seconds)),
        rhythm=Rhythm(sleep=lambda _: None),
    )
    assert result == "InService"
    assert [answer for answer, _ in seen] == ["Creating", "Creating"]
    assert seen[0][1] < seen[1][1]


def test_a_final_answer_is_returned_without_any_pause() -> None:
    def fail(_: float) -> None:
        raise AssertionError("paused")

    assert poll(answers("gone"), until=lambda _: True, timeout_seconds=0, rhythm=Rhythm(sleep=fail)) == "gone"


def test_pauses_grow_from_the_shortest_to_the_longest() -> None:
    pauses: list[float] = []
    rhythm = Rhythm(shortest_pause=0.5, longest_pause=8, sleep=pauses.append)
    ask = answers(*["Creating"] * 90, "InService")
    poll(ask, until=lambda answer: answer == "InService", timeout_seconds=3600, rhythm=rhythm)
    assert pauses[:2] == [0.5, 0.5]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 8


def test_gives_up_after_the_time_allowed_with_the_last_answer() -> None:
    pauses: list[float] = []
    with pytest.raises(PollingTimeoutError) as failed:
        poll(
            answers("Creating"), until=lambda _: False, timeout_seconds=5, rhythm=Rhythm(sleep=pauses.append)
        )
    assert failed.value.last == "Creating"
    assert failed.value.seconds >= 5
    assert 5 <= sum(pauses) < 6
