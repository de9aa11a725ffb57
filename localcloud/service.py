"""A service of the local cloud as a child process that ends with its parent, and the port it listens on."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass
from typing import Final

from commandline.errors import CommandError
from commandline.polling import PollingTimeoutError, Rhythm, poll

_START_TIMEOUT_S: Final = 60
_OFTEN: Final = Rhythm(shortest_pause=0.1, longest_pause=0.1)


class StartError(CommandError):
    """A service did not come up."""


def free_port(bind: str, *preferred: int) -> int:
    """Return a port that is free on an address: the first of the preferred ones that is, otherwise any."""
    for port in (*preferred, 0):
        with contextlib.suppress(OSError), socket.create_server((bind, port)) as server:
            return int(server.getsockname()[1])
    raise StartError(f"cannot listen on {bind}: is it an address of this machine?")


def reachable(bind: str) -> str:
    """Return the address at which this machine reaches what listens on `bind`."""
    return "127.0.0.1" if bind in {"", "0.0.0.0"} else bind  # noqa: S104  # compared, not bound


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


@dataclass(frozen=True)
class Service:
    """One child process, whose stdin is the pipe that it ends with.

    Attributes:
        name: its role, and the name of its log file.
        url: answers when it is ready.
        instance: what the answer must contain: another program's service may have taken the port first.
    """

    name: str
    process: subprocess.Popen[bytes]
    url: str
    instance: str

    def wait_until_healthy(self) -> None:
        """Return when the service answers; StartError if it ended, or took too long."""
        try:
            poll(self._is_healthy, until=bool, timeout_seconds=_START_TIMEOUT_S, rhythm=_OFTEN)
        except PollingTimeoutError as error:
            raise StartError(f"{self.name} did not answer {self.url} within {_START_TIMEOUT_S} s") from error

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if the process still runs."""
        if self.process.poll() is None:
            self.process.terminate()

    def reap(self, deadline: float) -> None:
        """Wait until the process has ended, and kill it at the deadline of `time.monotonic()`."""
        try:
            self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _is_healthy(self) -> bool:
        if self.process.poll() is not None:
            raise StartError(f"{self.name} ended with status {self.process.returncode}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.url, timeout=2) as answer:
                return self.instance in answer.read().decode()
        except OSError:
            return False
