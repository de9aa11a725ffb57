"""A serverless endpoint: throttling at its concurrency, and its cold start."""

import pytest

from localcloud.sagemaker import endpoints
from localcloud.sagemaker.endpoints import COLD_START_VARIABLE, Capacity
from localcloud.sagemaker.resources import ApiError

VARIANT = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2}}


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the time in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(endpoints, "time", clock)
    return clock


def test_requests_beyond_the_concurrency_are_throttled() -> None:
    capacity = Capacity.of_variant(VARIANT, {})
    with capacity.slot(), capacity.slot():
        with pytest.raises(ApiError) as throttled, capacity.slot():
            pass
        assert throttled.value.code == "ThrottlingException"
    with capacity.slot():
        pass


def test_a_request_that_timed_out_or_failed_leaves_its_slot(clock: Clock) -> None:
    capacity = Capacity(1, cold_start_s=70)
    with pytest.raises(TimeoutError), capacity.slot():
        pass
    assert clock.now == 160, "SageMaker waits for a minute"
    with pytest.raises(ZeroDivisionError), capacity.slot():
        raise ZeroDivisionError
    with capacity.slot():
        assert clock.now == 170


def test_requests_wait_until_the_endpoint_is_warm(clock: Clock) -> None:
    capacity = Capacity.of_variant(VARIANT, {COLD_START_VARIABLE: "6"})
    with capacity.slot():
        assert clock.now == 106
    with capacity.slot():
        assert clock.now == 106
