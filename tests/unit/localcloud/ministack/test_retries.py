"""Retries wait as Step Functions makes them."""

from typing import Any

import pytest

from localcloud.ministack.retries import delay_seconds, with_delays

RETRIER = {"ErrorEquals": ["Busy"], "IntervalSeconds": 2, "BackoffRate": 1.5, "MaxDelaySeconds": 10}


@pytest.mark.parametrize(("retries", "seconds"), [(0, 2), (1, 3), (2, 4.5), (5, 10), (50, 10)])
def test_delays_grow_to_their_maximum(retries: int, seconds: float) -> None:
    assert delay_seconds(RETRIER, retries, share=0.5) == seconds


def test_full_jitter_takes_a_share_of_the_delay() -> None:
    jitter = {**RETRIER, "JitterStrategy": "FULL"}
    assert delay_seconds(jitter, 5, share=0.25) == 2.5
    assert delay_seconds(jitter, 5, share=0.0) == 0


def test_aws_defaults_hold_where_nothing_is_said() -> None:
    assert [delay_seconds({}, count, 1.0) for count in range(4)] == [1, 2, 4, 8]


def test_ministack_waits_that_long() -> None:
    """Ministack multiplies the interval by the rate once for each retry made before."""

    def find(retriers: list[Any], _error: str, _counts: dict[int, int]) -> tuple[Any, int]:
        return (retriers[0], 0) if retriers else (None, -1)

    found, index = with_delays(find)([RETRIER], "Busy", {0: 4})
    assert (found["IntervalSeconds"] * found["BackoffRate"] ** 4, index) == (10, 0)
    assert with_delays(find)([], "Busy", {}) == (None, -1)
