"""A child process that does not outlive its parent, on every system that has pipes."""

import os
import signal
import threading
import time

_GRACE_S = 10


def end_with_parent() -> None:
    """Ask this process to end when its stdin closes, and insist after a while.

    Whoever started it holds the other end of the pipe and never writes: the pipe closes when that process
    ends, however it ends, SIGKILL included.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def wait_for_eof() -> None:
    """Return when stdin closes; reads the descriptor itself, whose file object another thread may close."""
    while os.read(0, 4096):
        pass


def _wait_for_parent() -> None:
    wait_for_eof()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)
