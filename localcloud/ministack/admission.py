"""How much runs at a time: executions begin in their order when there is room, and so do events of S3.

ministack starts a thread for each: 20 photos a second for four minutes were 6,072 threads, and hardly a photo
was ready in time. Here an execution that must wait is RUNNING to everybody, as on AWS, and has neither begun
nor a thread; its deadlines count from when it begins. Synchronous executions run on their caller's thread and
wait for nobody, so that no execution waits behind its own parent.
"""

import contextlib
import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final

from ministack.services import stepfunctions

from localcloud.ministack.repairs import Repairs

REPAIRS: Final = Repairs()
RUNNING: Final = 16
"""A little more than there are workers of the functions: these are never idle, and nobody waits long."""
BEGUN: Final = 128
"""With those that wait for their next attempt, as in an outage."""
EVENTS_AT_A_TIME: Final = 4


class Admission:
    """Runs calls in their order, each on a thread of its own.

    Only so many run at a time, and only so many have begun and not ended: these, and those inside `aside`.
    """

    def __init__(self, running: int, begun: int) -> None:
        self._running, self._begun = running, begun  # how many more there may be
        self._waiting: deque[Callable[[], None]] = deque()
        self.returning = 0  # how many were aside and wait for room to go on
        self._changed = threading.Condition()
        self._admitted = threading.local()

    def start(self, call: Callable[[], None]) -> None:
        """Run a call when there is room, after those that came before; return at once."""
        with self._changed:
            self._waiting.append(call)
            self._admit()

    def thread(self, target: Callable[..., Any], args: tuple[Any, ...], **more: Any) -> Any:
        """Return what stands for a thread in ministack: its start is that of a call."""
        call = functools.partial(target, *args, **more.get("kwargs", {}))
        return SimpleNamespace(start=functools.partial(self.start, call))

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Let others run while a call waits for something; it goes on before any that has not begun."""
        if not getattr(self._admitted, "here", False):
            yield
            return
        self._leave()
        try:
            yield
        finally:
            with self._changed:
                self.returning += 1
                self._changed.wait_for(lambda: self._running)
                self.returning -= 1
                self._running -= 1
                self._admit()

    def _admit(self) -> None:
        while self._waiting and self._running and self._begun and not self.returning:
            self._running -= 1
            self._begun -= 1
            threading.Thread(target=self._run, args=(self._waiting.popleft(),), daemon=True).start()

    def _run(self, call: Callable[[], None]) -> None:
        self._admitted.here = True
        try:
            call()
        finally:
            self._leave(ended=1)

    def _leave(self, ended: int = 0) -> None:
        with self._changed:
            self._running += 1
            self._begun += ended
            self._changed.notify()
            self._admit()


_executions: Final = Admission(RUNNING, BEGUN)
REPAIRS.rewrite(
    stepfunctions,
    {"_start_execution": {"    threading.Thread(\n": "    _admission.thread(\n"}},
    _admission=_executions,
)


# Where an execution waits for time, for its children or for others.
@REPAIRS.around(stepfunctions, "_scaled_sleep", "seconds")
@REPAIRS.around(stepfunctions, "_run_distributed_map", "state_def")
@REPAIRS.around(stepfunctions, "_invoke_with_callback", "resource")
@REPAIRS.around(stepfunctions, "_invoke_activity", "resource")
def _wait_aside(wait: Callable[..., Any], *args: Any) -> Any:
    with _executions.aside():
        return wait(*args)
