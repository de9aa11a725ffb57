"""Killing parts of a local cloud."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.faults.balance import Observer

FUNCTIONS = "ministack-lambda"
MODEL = "sagemaker/worker.py"
DESK = "localcloud.desk"


def processes(what: str, folder: Path) -> list[int]:
    """Return the processes of a local cloud whose command line has a text in it."""
    listed = subprocess.run(["ps", "-axww", "-o", "pid,command"], capture_output=True, text=True, check=True)
    lines = listed.stdout.splitlines()
    return [int(line.split()[0]) for line in lines if what in line and str(folder) in line]


def pids(what: str, observer: Observer) -> list[int]:
    """Return the processes of an observed local cloud whose command line has a text in it."""
    return processes(what, observer.cloud.folder)


def kill(what: str, observer: Observer, only: Callable[[list[int]], int] | None = None) -> bool:
    """Kill all processes of a part, or only the one that is chosen of them; return whether there were any."""
    found = pids(what, observer)
    for pid in [only(found)] if only and found else found:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(pid, signal.SIGKILL)
    return bool(found)
