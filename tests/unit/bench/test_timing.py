"""The benchmark's arithmetic, on a fake clock: medians, 90th percentile, ratio, and the order of runs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.timing import Case, compare, in_fresh_process


class Clock:
    """A clock that only moves when something measured says how long it takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def takes(self, *durations: float) -> Callable[[], object]:
        """Return a callable whose n-th run lasts the n-th of these durations, in seconds."""
        remaining = iter(durations)

        def run() -> None:
            self.seconds += next(remaining)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("bench.timing.time.perf_counter", lambda: clock.seconds)
    return clock


def test_figures_are_those_of_the_measured_rounds(clock: Clock) -> None:
    # The first run of each warms up and does not count.
    measured = clock.takes(9, *(0.010 * n for n in range(1, 10)))
    reference = clock.takes(9, *[0.004] * 4, 0.025, *[0.100] * 4)
    result = compare(Case("thing", measured), Case("reference", reference), rounds=9, tick=lambda: None)
    assert (result.name, result.reference, result.rounds) == ("thing", "reference", 9)
    assert result.p50_ms == 50
    assert result.p90_ms == 90
    assert result.reference_p50_ms == 25
    assert result.ratio == 2


def test_both_sides_run_in_turns_and_equally_often() -> None:
    calls: list[str] = []
    compare(
        Case("thing", lambda: calls.append("thing")),
        Case("reference", lambda: calls.append("reference")),
        rounds=3,
        tick=lambda: calls.append("tick"),
    )
    assert calls == ["thing", "reference"] + ["thing", "reference", "tick"] * 3


def test_a_fresh_process_runs_in_the_given_folder(tmp_path: Path) -> None:
    run = in_fresh_process("open('made-here', 'w').close()", tmp_path, dict(os.environ))
    run()
    assert (tmp_path / "made-here").exists()
