"""The functions on AWS's Lambda runtime emulator: cold start, warm time and memory, against the plain way."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.parameters import ROOT
from bench.timing import Result, compared, seconds
from tests.support.lambda_runtime import LambdaRuntime, lambda_runtime

WARM: Final = 5
"""Events that each new process answers after its first."""


@dataclass(frozen=True)
class Memory:
    """The peak memory of a function's process, the runtime's client included.

    Attributes:
        function: its folder.
        mb: ours, in MB.
        reference_mb: the plain way's.
    """

    function: str
    mb: float
    reference_mb: float

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


@dataclass
class _Measured:
    cold: list[float]
    warm: list[float]
    peaks: list[float]


def on_the_runtime(
    environment: dict[str, str], photo: dict[str, str], rounds: int, tick: Callable[[], object]
) -> tuple[list[Result], list[Memory]]:
    """Start each function anew some times, in turns with the plain version of it.

    Args:
        environment: leads to a local cloud with the photo and the endpoint.
        photo: where the photo is: `s3_bucket`, `s3_key`.
        rounds: new processes of each.
        tick: called after each round.

    Returns:
        For each function its cold start and an event of a warm process, and its memory.
    """
    results, memory = [], []
    for function, event in _events(environment, photo):
        ours, plain = _Measured([], [], []), _Measured([], [], [])
        for _ in range(rounds):
            _measure(function, environment, event, ours, plain_way=False)
            _measure(function, environment, event, plain, plain_way=True)
            tick()
        way = "the plain way (bench/naive)"
        results += [
            compared(f"{function}, cold start on AWS's runtime emulator", ours.cold, way, plain.cold),
            compared(f"{function}, warm", ours.warm, way, plain.warm),
        ]
        memory.append(Memory(function, round(max(ours.peaks), 1), round(max(plain.peaks), 1)))
    return results, memory


def _events(environment: dict[str, str], photo: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each function with what it gets in the workflow."""
    yield "serialize_image", photo
    with _runtime("serialize_image", environment, plain_way=False) as invoke:
        serialized = invoke(photo)
    yield "classify_image", serialized
    yield "filter_inference", {**photo, "inferences": [0.98, 0.02]}


def _measure(
    function: str, environment: dict[str, str], event: dict[str, Any], into: _Measured, *, plain_way: bool
) -> None:
    with _runtime(function, environment, plain_way=plain_way) as invoke:
        into.cold.append(seconds(lambda: _answered(invoke, event)))
        into.warm += [seconds(lambda: _answered(invoke, event)) for _ in range(WARM)]
        into.peaks.append(invoke.peak_memory_mb())


@contextmanager
def _runtime(function: str, environment: dict[str, str], *, plain_way: bool) -> Iterator[LambdaRuntime]:
    """Run a function, or the plain version of it, on the emulator."""
    code, handler = ROOT / "functions" / function, "app.lambda_handler"
    if plain_way:
        code, handler = ROOT, f"bench.naive.{function}.lambda_handler"
    with (
        tempfile.TemporaryDirectory() as folder,
        lambda_runtime(function, environment, Path(folder) / "log", code=code, handler=handler) as invoke,
    ):
        yield invoke


def _answered(invoke: LambdaRuntime, event: dict[str, Any]) -> None:
    answer = invoke(event)
    if "errorType" in answer:
        raise RuntimeError(f"the function failed: {answer}")
