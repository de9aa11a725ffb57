"""What ministack remembers of the past is bounded: finished executions and delivered events.

It keeps each for ever, 0.15 to 0.2 MiB a photo. AWS keeps executions for 90 days; here the latest
`EXECUTIONS` can be described, and the latest `EVENTS` replayed from an archive.
"""

import inspect
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from localcloud.ministack.errors import IncompatibleMinistackError

EXECUTIONS: Final = 500
EVENTS: Final = 500


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


class Latest(list[Any]):
    """A list that keeps its latest `EVENTS` entries."""

    def append(self, item: Any) -> None:
        """Add an entry, and drop the oldest beyond the limit."""
        super().append(item)
        del self[:-EVENTS]


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack.services import eventbridge, stepfunctions  # type: ignore[import-untyped]  # noqa: PLC0415

    run, log = stepfunctions._run_execution, eventbridge._events_log_list  # noqa: SLF001
    if list(inspect.signature(run).parameters) != ["exec_arn"] or inspect.signature(log).parameters:
        raise IncompatibleMinistackError("executions or events are kept in another way")
    executions = stepfunctions._executions  # noqa: SLF001
    stepfunctions._run_execution = Finished(EXECUTIONS).after(run, executions)  # noqa: SLF001

    def latest_events() -> list[Any]:
        entries = log()
        if not isinstance(entries, Latest):
            entries = Latest(entries[-EVENTS:])
            eventbridge._events_log["entries"] = entries  # noqa: SLF001
        return entries

    eventbridge._events_log_list = latest_events  # noqa: SLF001
