"""Step Functions: waits of retries, refused events, what is remembered, and parsed expressions."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ministack.services import stepfunctions as engine

from localcloud.ministack.repairs import during
from localcloud.ministack.states import (
    EXECUTION,
    EXECUTIONS,
    delay_seconds,
    find_retrier,
    put_events,
    run_execution,
)
from localcloud.ministack.states import expression as parse

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

    found, index = find_retrier(find, [RETRIER], "Busy", {0: 4})
    assert (found["IntervalSeconds"] * found["BackoffRate"] ** 4, index) == (10, 0)
    assert find_retrier(find, [], "Busy", {}) == (None, -1)


def test_an_event_names_its_execution_and_is_an_error_if_it_is_refused() -> None:
    refused = {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, {"ErrorCode": "X", "ErrorMessage": "no"}]}
    with pytest.raises(engine._ExecutionError, match="no") as raised:  # noqa: SLF001
        put_events(lambda *_: refused, "arn", {})
    assert raised.value.error == "EventBridge.FailedEntry"
    taken = {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}
    asked: list[Any] = []

    def put(_resource: str, data: Any) -> dict[str, Any]:
        asked.append(data["Entries"][0]["Resources"])
        return taken

    with during(EXECUTION, {"stateMachineArn": "m", "executionArn": "e"}):
        assert put_events(put, "arn", {"Entries": [{"Resources": ["own"]}]}) == taken
    assert asked == [["own", "m", "e"]]


def test_the_latest_finished_executions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    executions: dict[str, Any] = {"running": {}}
    monkeypatch.setattr(engine, "_executions", executions)
    for number in range(EXECUTIONS + 1):
        run_execution(lambda arn: executions.update({arn: {}}), str(number))

    def fail(_arn: str) -> None:
        raise RuntimeError

    arn = "arn:aws:states:us-east-1:000000000000:express:photo:d:1"
    executions[arn] = {"events": [1, 2, 3]}
    with contextlib.suppress(RuntimeError):
        run_execution(fail, arn)
    assert list(executions) == ["running", *map(str, range(2, EXECUTIONS + 1)), arn]
    assert executions[arn]["events"] == [3], "EXPRESS keeps no history"


def test_an_expression_is_parsed_once_and_keeps_no_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    def register(expression: Any) -> None:
        expression.register_lambda("add", lambda i, n: i + n)

    monkeypatch.setattr(engine, "_register_sfn_jsonata_functions", register)
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
