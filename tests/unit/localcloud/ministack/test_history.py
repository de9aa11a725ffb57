"""Finished executions and old events are forgotten, running executions are not."""

import contextlib
from typing import Any

from localcloud.ministack.history import Finished


def test_the_latest_finished_executions_are_kept() -> None:
    executions: dict[str, Any] = {"running": {}}
    run = Finished(2).after(lambda arn: executions.update({arn: {}}), executions)
    for arn in "abcd":
        run(arn)
    assert set(executions) == {"running", "c", "d"}


def test_an_execution_that_raises_has_ended_too() -> None:
    executions: dict[str, Any] = {"a": {}, "b": {}}
    finished = Finished(0)

    def fail(_arn: str) -> None:
        raise RuntimeError

    for arn in "ab":
        with contextlib.suppress(RuntimeError):
            finished.after(fail, executions)(arn)
    assert executions == {}
