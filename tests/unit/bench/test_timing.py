"""The benchmark's arithmetic: what it reports is what it measured, and both sides run equally often."""

import os
from pathlib import Path

from bench.timing import Case, compare, in_fresh_process


def test_both_sides_run_in_turns_and_equally_often() -> None:
    calls: list[str] = []
    result = compare(
        Case("thing", lambda: calls.append("thing")),
        Case("reference", lambda: calls.append("reference")),
        rounds=3,
        tick=lambda: calls.append("tick"),
    )
    assert calls == ["thing", "reference"] + ["thing", "reference", "tick"] * 3
    assert (result.name, result.reference, result.rounds) == ("thing", "reference", 3)


def test_the_ratio_is_that_of_the_medians() -> None:
    result = compare(
        Case("two sums", lambda: [sum(range(20_000)) for _ in range(20)]),
        Case("a sum", lambda: sum(range(20_000))),
        rounds=5,
        tick=lambda: None,
    )
    assert abs(result.ratio - result.p50_ms / result.reference_p50_ms) < 0.5
    assert result.p90_ms >= result.p50_ms


def test_a_fresh_process_runs_where_it_is_told(tmp_path: Path) -> None:
    run = in_fresh_process("open('made-here', 'w').close()", tmp_path, dict(os.environ))
    run()
    assert (tmp_path / "made-here").exists()
