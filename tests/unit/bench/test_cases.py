"""The benchmark's arithmetic, on a clock that only moves when something measured says how long it takes."""

from collections.abc import Callable

import pytest

from bench.cases import Case, compare


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
    result = compare(
        Case("thing", measured), Case("reference", reference), rounds=9, tick=lambda: calls.append("tick")
    )
    assert (result.name, result.reference, result.rounds) == ("thing", "reference", 9)
    assert (result.p50_ms, result.p90_ms, result.reference_p50_ms, result.ratio) == (50, 90, 25, 2)
    assert calls == ["thing", "reference"] + ["thing", "reference", "tick"] * 9
