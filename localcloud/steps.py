"""Other programs as steps, side by side: their output goes to a log, whose end a failure shows."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from commandline.errors import CommandError
from commandline.terminal import say

Result = TypeVar("Result")

_TAIL_LINES: Final = 30
_STOP_TIMEOUT_S: Final = 5


class StepError(CommandError):
    """A step failed; the message names it, and shows the end of its log."""

    with_log = True


def tail(log: Path) -> str:
    """Return the last lines of a log file, indented."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])


@contextlib.contextmanager
def timed(title: str) -> Iterator[None]:
    """Say that something was done, and how long it took."""
    start = time.monotonic()
    yield
    say(f"  {title} ({time.monotonic() - start:.1f} s)")


class Steps:
    """Runs work side by side and, when it is left early, ends the commands that still run."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._pool = ThreadPoolExecutor(thread_name_prefix="step")

    def __enter__(self) -> Self:
        """Prepare nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the commands that still run, and wait for the work that ran them."""
        self.stop()
        self._pool.shutdown(cancel_futures=True)

    def submit(self, work: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Begin work beside this thread."""
        return self._pool.submit(work, *arguments)

    def together(self, *work: Callable[[], Any]) -> None:
        """Do all of it side by side; the first failure ends the rest and is raised."""
        done, _ = wait([self.submit(one) for one in work], return_when=FIRST_EXCEPTION)
        failed = [future for future in done if future.exception()]
        if failed:
            self.stop()
            failed[0].result()

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        """Run one command to its end; StepError if it failed, or was stopped."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        with log.open("wb") as output, self._lock:
            if self._stopped:
                raise StepError("interrupted")
            try:
                process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                    env=environment,
                    start_new_session=True,  # so that its children can be ended with it
                )
            except FileNotFoundError as error:
                raise StepError(
                    f"{command[0]} is missing: use the environment that `make demo` or `make up` makes"
                ) from error
            self._running.add(process)
        try:
            status = process.wait()
        finally:
            with self._lock:
                self._running.discard(process)
        if status != 0:
            raise StepError(f"{name} failed with status {status}; the end of {log}:\n{tail(log)}")

    def stop(self) -> None:
        """End all running commands with their children, and start no other."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _signal_group(process, signal.SIGTERM)
        for process in running:
            try:
                process.wait(timeout=_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
