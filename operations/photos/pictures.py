"""Photos as people see them: decoded by the code that the workflow decodes them with.

The decoder is SerializeImage's own. It runs in a process of its own, one photo at a time: what comes from
outside may need much memory, or crash it.
"""

import atexit
import importlib
import io
import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Final

from commandline.errors import CommandError
from commandline.program import ROOT

MAX_PIXELS: Final = 60_000_000
"""MaxPixels of template.yaml; a JPEG may have four times as many."""
MOST_BYTES: Final = 25 * 1024 * 1024
"""MaxObjectBytes of template.yaml."""
PATIENCE_S: Final = 15.0
_SPAWN: Final = multiprocessing.get_context("spawn")
_SHOWN: Final = b"+"


class CannotBeShownError(CommandError):
    """A file is no photo that the workflow reads, or a damaged one."""


class Decoder:
    """Decodes photos in a process of its own, which it starts at the first. Threads take turns."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None

    def jpeg(self, photo: bytes, longest_side: int) -> bytes:
        """Return a photo as an upright sRGB JPEG on white, of bounded size; or raise a CannotBeShownError."""
        with self._lock:
            try:
                connection = self._connection or self._start()
                connection.send_bytes(longest_side.to_bytes(4) + photo)
                if not connection.poll(self._patience_s):
                    raise TimeoutError
                answer = connection.recv_bytes()
            except (OSError, EOFError) as error:
                self._end()
                raise CannotBeShownError("its decoding took too long or too much memory") from error
        if not answer.startswith(_SHOWN):
            raise CannotBeShownError(answer[1:].decode())
        return answer[1:]

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            self._end()

    def _start(self) -> Connection:
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        return self._connection

    def _end(self) -> None:
        if self._process is not None and self._connection is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
        self._process = self._connection = None


_decoder: Final = Decoder()
atexit.register(_decoder.close)
jpeg: Final = _decoder.jpeg


def _serve(connection: Connection) -> None:
    """Answer requests until the program ends: `+` and a JPEG, or `-` and why there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders' own warnings
    sys.path.insert(0, str(ROOT / "functions" / "serialize_image"))
    with suppress(EOFError):
        while request := connection.recv_bytes():
            side, buffer = int.from_bytes(request[:4]), io.BytesIO()
            try:
                render = importlib.import_module("photo").render
                image = render(request[4:], longest_side=side, max_pixels=MAX_PIXELS)
                image.info = {}
                image.save(buffer, "JPEG", quality=85)
                answer = _SHOWN + buffer.getvalue()
            except Exception as error:  # noqa: BLE001 - whatever it is, this photo cannot be shown
                answer = b"-" + (str(error) or type(error).__name__).encode()
            connection.send_bytes(answer)
