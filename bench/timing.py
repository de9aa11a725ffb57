"""Time two things in turns, so that other load on the machine affects both alike."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class Result:
    """What was measured, and in turns with it a reference; `ratio` is `p50_ms / reference_p50_ms`."""

    name: str
    reference: str
    p50_ms: float
    p90_ms: float
    reference_p50_ms: float
    ratio: float
    rounds: int


class Case(NamedTuple):
    """Something to time, and its name in the table."""

    name: str
    run: Callable[[], object]


def compare(measured: Case, reference: Case, *, rounds: int, tick: Callable[[], object]) -> Result:
    """Run both in turns, once to warm up and then `rounds` times; call `tick` after each round."""
    measured.run()
    reference.run()
    times: list[float] = []
    reference_times: list[float] = []
    for _ in range(rounds):
        times.append(seconds(measured.run))
        reference_times.append(seconds(reference.run))
        tick()
    return compared(measured.name, times, reference.name, reference_times)


def compared(name: str, times: Sequence[float], reference: str, reference_times: Sequence[float]) -> Result:
    """Return the result of two measurements, in seconds, that were taken in turns."""
    p50, reference_p50 = statistics.median(times), statistics.median(reference_times)
    return Result(
        name=name,
        reference=reference,
        p50_ms=round(p50 * 1000, 3),
        p90_ms=round(statistics.quantiles(times, n=10)[-1] * 1000, 3),
        reference_p50_ms=round(reference_p50 * 1000, 3),
        ratio=round(p50 / reference_p50, 2),
        rounds=len(times),
    )


def in_fresh_process(code: str, folder: Path, environment: dict[str, str]) -> Callable[[], object]:
    """Return a callable that runs a line of Python in a new interpreter, as a cold start does."""

    def run() -> object:
        return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True)

    return run


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
