"""Services of the local cloud: child processes that end with their parent, and the ports they listen on."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from typing import Final

from commandline.errors import CommandError
from commandline.polling import PollingTimeoutError, Rhythm, poll

OFTEN: Final = Rhythm(shortest_pause=0.1, longest_pause=0.1)
_START_TIMEOUT_S: Final = 60


class StartError(CommandError):
    """A service did not come up, or has ended."""


def free_port(bind: str, *preferred: int) -> int:
    """Return a port that is free on an address: the first of the preferred ones that is, otherwise any."""
    for port in (*preferred, 0):
        with contextlib.suppress(OSError), socket.create_server((bind, port)) as server:
            return int(server.getsockname()[1])
    raise StartError(f"cannot listen on {bind}: is it an address of this machine?")


def end_with_parent(grace_s: float = 10) -> None:
    """Ask this process to end when its stdin closes, and kill it after a while.

    Whoever started it holds the other end of the pipe and never writes: the pipe closes when that process
    ends, however it ends, SIGKILL included.
    """

    def wait() -> None:
        while os.read(0, 4096):  # the descriptor itself: another thread may close the file object
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def wait_until_healthy(name: str, process: subprocess.Popen[bytes], url: str, instance: str) -> None:
    """Return when the answer at a service's `url` contains `instance`; StartError if it ended, or takes long.

    Another program's service may have taken the port first.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def healthy() -> bool:
        if process.poll() is not None:
            raise StartError(f"{name} ended with status {process.returncode}")
        with contextlib.suppress(OSError), opener.open(url, timeout=2) as answer:
            return instance in answer.read().decode()
        return False

    try:
        poll(healthy, until=bool, timeout_seconds=_START_TIMEOUT_S, rhythm=OFTEN)
    except PollingTimeoutError as error:
        raise StartError(f"{name} did not answer {url} within {_START_TIMEOUT_S} s") from error
