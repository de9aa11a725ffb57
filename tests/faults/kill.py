"""Killing parts of a local cloud."""

import os
import signal
import subprocess

from tests.faults.balance import Observer


def kill(what: str, observer: Observer) -> None:
    """Kill the processes of a local cloud whose command line has a text in it."""
    listed = subprocess.run(["ps", "-axww", "-o", "pid,command"], capture_output=True, text=True, check=True)
    folder = str(observer.cloud.folder)
    pids = [int(line.split()[0]) for line in listed.stdout.splitlines() if what in line and folder in line]
    assert pids, f"no process of {what}"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
