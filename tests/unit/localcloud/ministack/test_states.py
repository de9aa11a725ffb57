"""Step Functions: waits of retries, refused events, what is remembered, and parsed expressions."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonata  # type: ignore[import-untyped]
import pytest

from localcloud.ministack.states import Finished, delay_seconds, refusing, remembering, with_delays

RETRIER = {"ErrorEquals": ["Busy"], "IntervalSeconds": 2, "BackoffRate": 1.5, "MaxDelaySeconds": 10}


@pytest.mark.parametrize(("retries", "seconds"), [(0, 2), (1, 3), (2, 4.5), (5, 10), (50, 10)])
def test_delays_grow_to_their_maximum(retries: int, seconds: float) -> None:
    assert delay_seconds(RETRIER, retries, share=0.5) == seconds
    jitter = {**RETRIER, "JitterStrategy": "FULL"}
    assert delay_seconds(jitter, retries, share=0.25) == seconds / 4


def test_aws_defaults_hold_where_nothing_is_said() -> None:
    assert [delay_seconds({}, count, 1.0) for count in range(4)] == [1, 2, 4, 8]


def test_ministack_waits_that_long() -> None:
    """Ministack multiplies the interval by the rate once for each retry made before."""

    def find(retriers: list[Any], _error: str, _counts: dict[int, int]) -> tuple[Any, int]:
        return (retriers[0], 0) if retriers else (None, -1)

    found, index = with_delays(find)([RETRIER], "Busy", {0: 4})
    assert (found["IntervalSeconds"] * found["BackoffRate"] ** 4, index) == (10, 0)
    assert with_delays(find)([], "Busy", {}) == (None, -1)


def test_an_event_that_is_refused_is_an_error() -> None:
    class StateError(Exception):
        pass

    refused = {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, {"ErrorCode": "X", "ErrorMessage": "no"}]}
    with pytest.raises(StateError, match=r"EventBridge\.FailedEntry.*no"):
        refusing(lambda *_: refused, StateError)("arn", {})
    taken = {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}
    assert refusing(lambda *_: taken, StateError)("arn", {}) == taken


def test_the_latest_finished_executions_are_kept() -> None:
    executions: dict[str, Any] = {"running": {}}
    finished = Finished(2)
    run = finished.after(lambda arn: executions.update({arn: {}}), executions)
    for arn in "abc":
        run(arn)

    def fail(_arn: str) -> None:
        raise RuntimeError

    arn = "arn:aws:states:us-east-1:000000000000:express:photo:d:1"
    executions[arn] = {"events": [1, 2, 3]}
    with contextlib.suppress(RuntimeError):
        finished.after(fail, executions)(arn)
    assert set(executions) == {"running", "c", arn}
    assert executions[arn]["events"] == [3], "EXPRESS keeps no history"


def test_an_expression_is_parsed_once_and_keeps_no_bindings() -> None:
    def register(expression: Any) -> None:
        expression.register_lambda("add", lambda i, n: i + n)

    parse = remembering(jsonata.Jsonata, register)
    text = "$map([1..20], function($i) { ($total := $add($i, $n); $total) })"

    def evaluate(number: int) -> Any:
        return parse(text).evaluate(None, {"n": number})

    with ThreadPoolExecutor(8) as pool:
        for number, result in enumerate(pool.map(evaluate, range(200))):
            assert result == [i + number for i in range(1, 21)]
    assert parse(text).ast is parse(text).ast
    assert parse("$kept := $n").evaluate(None, {"n": 1}) == 1
    for name in ("n", "kept", "total"):
        assert parse(f"$exists(${name})").evaluate(None, {}) is False
    assert parse("$exists($n)").evaluate(None, {"n": 1}) is True
    assert parse("$exists($n)").evaluate(None, {}) is False
    with pytest.raises(Exception, match="Unexpected end"):
        parse("1 +")
