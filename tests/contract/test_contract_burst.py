"""A burst of photos on a cold endpoint, simulated with the workflow's definition: no photo is lost.

50 photos arrive within 5 s. The endpoint starts with the first request and needs a while to wake; it takes 5
requests at a time and throttles the others. Time is virtual and not scaled. tests/e2e/test_e2e_burst.py does
the same in real time, ten times faster, with the functions and a real endpoint.
"""

import heapq
import itertools
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from tests.support.sam_app import definition
from tests.support.workflow_interpreter import Call, Clock, Ending, Execution, Pause, Steps, TaskError

PHOTOS = 50
AT_A_TIME = 5
READ_TIMEOUT = 60
INFERENCE = 0.3
DURATIONS = {"SerializeImage": 0.5, "FilterInference": 0.05}
EXPRESS_LIMIT = 300


@dataclass
class Endpoint:
    """A cold endpoint that wakes `wakes_after` seconds after its first request."""

    wakes_after: float
    awake_at: float | None = None
    in_flight: int = 0

    def request(self, now: float) -> tuple[float, TaskError | None]:
        """Begin a request; return when it ends and, if it fails, how."""
        if self.awake_at is None:
            self.awake_at = now + self.wakes_after
        if self.in_flight >= AT_A_TIME:
            return now + 0.05, TaskError("EndpointBusy", "throttled")
        self.in_flight += 1
        ready = max(now, self.awake_at)
        if ready - now > READ_TIMEOUT:
            return now + READ_TIMEOUT, TaskError("EndpointUnavailable", "read timeout")
        return ready + INFERENCE, None


@dataclass
class Simulation:
    """Executions side by side, in virtual time."""

    endpoint: Endpoint
    workflow: dict[str, Any]
    seed: int
    endings: list[Ending] = field(default_factory=list)

    def run(self) -> list[Ending]:
        """Run a burst; return how each execution ended."""
        order = itertools.count()
        random = Random(self.seed)  # noqa: S311 - jitter, not secrets
        queue: list[tuple[float, int, Any]] = []
        for number in range(PHOTOS):
            clock = Clock(now=random.uniform(0, 5), random=random)
            execution = Execution(self.workflow, clock=clock)
            steps = execution.steps({"s3_bucket": "b", "s3_key": f"incoming/{number}.jpg"})
            self.endings.append(execution.ending)
            heapq.heappush(queue, (clock.now, next(order), (steps, clock, None, False)))
        while queue:
            now, _, (steps, clock, result, holds_a_slot) = heapq.heappop(queue)
            clock.now = now
            self.endpoint.in_flight -= holds_a_slot
            step = _advance(steps, result)
            if step is not None:
                until, outcome, slot = self._begin(step, now)
                heapq.heappush(queue, (until, next(order), (steps, clock, outcome, slot)))
        return self.endings

    def _begin(self, step: Call | Pause, now: float) -> tuple[float, Any, bool]:
        """Return when a step ends, its result, and whether it occupies the endpoint until then."""
        if isinstance(step, Pause):
            return now + step.seconds, None, False
        payload = step.arguments.get("Payload", {}) if isinstance(step.arguments, dict) else {}
        answer = {"Payload": payload | {"model_version": None, "label": "bicycle", "confidence": 1}}
        if step.name != "ClassifyImage":
            return now + DURATIONS.get(step.name, 0.02), answer, False
        before = self.endpoint.in_flight
        until, error = self.endpoint.request(now)
        return until, error or answer, self.endpoint.in_flight > before


def _advance(steps: Steps, result: Any) -> Call | Pause | None:
    try:
        return steps.throw(result) if isinstance(result, TaskError) else steps.send(result)
    except StopIteration:
        return None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("workflow_type", "wakes_after"), [("STANDARD", 20), ("STANDARD", 60), ("STANDARD", 150), ("EXPRESS", 30)]
)
def test_a_burst_on_a_cold_endpoint_loses_no_photo(workflow_type: str, wakes_after: int, seed: int) -> None:
    endings = Simulation(Endpoint(wakes_after), definition(workflow_type), seed).run()
    assert [ending.status for ending in endings] == ["SUCCEEDED"] * PHOTOS
    busy = sum(ending.counts["ClassifyImage"] > 1 for ending in endings)
    assert busy >= PHOTOS - AT_A_TIME, "the endpoint throttled nobody, so the test shows nothing"
    slowest = max(ending.seconds for ending in endings)
    assert slowest < wakes_after + 150
    assert workflow_type == "STANDARD" or slowest < EXPRESS_LIMIT


@pytest.mark.parametrize("seed", range(3))
def test_an_endpoint_that_never_wakes_fails_every_photo_within_the_time_of_an_express_execution(
    seed: int,
) -> None:
    endings = Simulation(Endpoint(float("inf")), definition("EXPRESS"), seed).run()
    for ending in endings:
        assert ending.calls["RecordOutcome"]["Item"]["outcome"] == {"S": "FAILED"}
        assert ending.error in {"EndpointBusy", "EndpointUnavailable"}
        assert ending.seconds < EXPRESS_LIMIT
