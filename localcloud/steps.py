"""Commands of other programs as steps: their output goes to a log, and its end is shown when one fails."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

_TAIL_LINES = 30
_STOP_TIMEOUT_S = 5


class StepError(Exception):
    """A step failed; the message tells which, and shows the end of its log."""


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log file, indented; empty when there is none."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def say(text: str) -> None:
    """Tell the person at the terminal what happens; standard output stays for results."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def timed(title: str) -> Iterator[None]:
    """Say that something was done, and how long it took."""
    start = time.monotonic()
    yield
    say(f"  {title} ({time.monotonic() - start:.1f} s)")


class Steps:
    """Runs commands and, when left early, ends those that still run, children included.

    Args:
        logs: Folder for their logs.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs."""
        self.stop()

    def run(self, name: str, command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        """Run one command to its end.

        Args:
            name: Name of the step and of its log file.
            command: Program and arguments.
            environment: All of its environment.
            folder: Where it runs.

        Raises:
            StepError: It failed, or was stopped.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = self._start(command, environment, folder, output.fileno())
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

    def _start(
        self, command: Sequence[str], environment: dict[str, str], folder: Path, output: int
    ) -> subprocess.Popen[bytes]:
        with self._lock:
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
            return process


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
