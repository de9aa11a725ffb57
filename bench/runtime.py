"""The functions on AWS's Lambda runtime emulator: cold start, warm time and memory."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.timing import Result, compared, seconds
from tests.support.lambda_runtime import LambdaRuntime, lambda_runtime

WARM: Final = 5
"""Events that each new process answers after its first."""
LEAST: Final = "filter_inference"
"""Imports neither boto3 nor Pillow: the reference of the others."""


class _Measured:
    def __init__(self) -> None:
        self.cold: list[float] = []
        self.warm: list[float] = []
        self.peaks: list[float] = []


def on_the_runtime(
    environment: dict[str, str], photo: dict[str, str], rounds: int, tick: Callable[[], object]
) -> tuple[list[Result], dict[str, float]]:
    """Start each function anew `rounds` times, in turns.

    Args:
        environment: leads to a local cloud with the photo and the endpoint.
        photo: where the photo is: `s3_bucket`, `s3_key`.
        rounds: new processes of each.
        tick: called after each round.

    Returns:
        Cold start and an event of a warm process against those of the smallest function, and peaks of memory
        in MB, the runtime's client included.
    """
    events: dict[str, dict[str, Any]] = {
        "serialize_image": photo,
        "classify_image": {},
        LEAST: {**photo, "inferences": [0.98, 0.02]},
    }
    measured = {name: _Measured() for name in events}
    for _ in range(rounds):
        for name, event in events.items():
            answer = _measure(name, environment, event, measured[name])
            if name == "serialize_image":
                events["classify_image"] = answer
        tick()
    least = measured[LEAST]
    results = [
        result
        for name in ("serialize_image", "classify_image")
        for result in (
            compared(f"{name}, cold start on AWS's runtime emulator", measured[name].cold, LEAST, least.cold),
            compared(f"{name}, warm", measured[name].warm, LEAST, least.warm),
        )
    ]
    return results, {f"{name}, peak memory": round(max(one.peaks), 1) for name, one in measured.items()}


def _measure(
    name: str, environment: dict[str, str], event: dict[str, Any], into: _Measured
) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as folder,
        lambda_runtime(name, environment, Path(folder) / "log") as invoke,
    ):
        into.cold.append(seconds(lambda: _answered(invoke, event)))
        into.warm += [seconds(lambda: _answered(invoke, event)) for _ in range(WARM)]
        into.peaks.append(invoke.peak_memory_mb())
        return _answered(invoke, event)


def _answered(invoke: LambdaRuntime, event: dict[str, Any]) -> dict[str, Any]:
    answer = invoke(event)
    if "errorType" in answer:
        raise RuntimeError(f"the function failed: {answer}")
    return answer
