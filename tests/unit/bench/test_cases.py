"""The benchmark's arithmetic, on a clock that only moves when something measured says how long it takes."""

from collections.abc import Callable

import pytest

from bench.cases import compare


def test_figures_are_those_of_the_measured_rounds_which_are_run_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, calls = [0.0], list[str]()
    monkeypatch.setattr("bench.cases.time.perf_counter", lambda: clock[0])

    def takes(name: str, *durations: float) -> Callable[[], object]:
        remaining = iter(durations)

        def run() -> None:
            clock[0] += next(remaining)
            calls.append(name)

        return run

    # The first run of each warms up and does not count.
    measured = takes("thing", 9, *(0.010 * n for n in range(1, 10)))
    reference = takes("reference", 9, *[0.004] * 4, 0.025, *[0.100] * 4)
    cases = ("thing", measured), ("reference", reference)
    result = compare(*cases, rounds=9, tick=lambda: calls.append("tick"))
    figures = {"rounds": 9, "p50_ms": 50, "p90_ms": 90, "reference_p50_ms": 25, "ratio": 2}
    assert result == {"name": "thing", "reference": "reference", **figures}
    assert calls == ["thing", "reference"] + ["thing", "reference", "tick"] * 9
