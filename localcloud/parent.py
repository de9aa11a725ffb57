"""A child process that does not outlive its parent, by way of a pipe between the two."""

import os
import signal
import threading
import time

_GRACE_S = 10


def end_with_parent() -> None:
    """Ask this process to end when its stdin closes, and kill it after a while.

    Whoever started it holds the other end of the pipe and never writes: the pipe closes when that process
    ends, however it ends, SIGKILL included.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def wait_for_eof() -> None:
    """Return when stdin closes; read the descriptor itself: another thread may close the file object."""
    while os.read(0, 4096):
        pass


def _wait_for_parent() -> None:
    wait_for_eof()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)
