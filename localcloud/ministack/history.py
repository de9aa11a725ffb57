"""Finished executions are forgotten: ministack keeps each for ever, 0.15 to 0.2 MiB.

AWS keeps executions for 90 days; here the latest `EXECUTIONS` can be described.
"""

from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from localcloud.ministack.errors import wrap

EXECUTIONS: Final = 500


class Finished:
    """Forgets the oldest finished executions.

    Args:
        limit: how many are kept.
    """

    def __init__(self, limit: int) -> None:
        self._arns: deque[str] = deque()
        self._limit = limit

    def add(self, arn: str, executions: MutableMapping[str, Any]) -> None:
        """Note that an execution has ended, and forget the oldest beyond the limit."""
        self._arns.append(arn)
        while len(self._arns) > self._limit:
            executions.pop(self._arns.popleft(), None)

    def after(
        self, run: Callable[[str], None], executions: MutableMapping[str, Any]
    ) -> Callable[[str], None]:
        """Return a function that runs an execution and then notes its end."""

        def run_and_note(arn: str) -> None:
            try:
                run(arn)
            finally:
                if executions.get(arn, {}).get("sync"):  # Express keeps no history
                    del executions[arn]["events"][:-1]
                self.add(arn, executions)

        return run_and_note


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import stepfunctions  # type: ignore[import-untyped]  # noqa: PLC0415

    finished, executions = Finished(EXECUTIONS), stepfunctions._executions  # noqa: SLF001
    wrap(stepfunctions, "_run_execution", ("exec_arn",), lambda run: finished.after(run, executions))
