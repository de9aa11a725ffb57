"""Photos as people see them: decoded by the code that the workflow decodes them with.

What the workflow reads can be shown, and is shown as it was read: the decoder is SerializeImage's own. It
runs in a process of its own, one photo at a time: what comes from outside may need much memory, or crash it.
"""

import atexit
import importlib
import io
import struct
import subprocess
import sys
import threading
from typing import IO, Final

from commandline.errors import CommandError
from commandline.program import ROOT

MAX_PIXELS: Final = 60_000_000
"""MaxPixels of template.yaml; a JPEG may have four times as many."""
MOST_BYTES: Final = 25 * 1024 * 1024
"""MaxObjectBytes of template.yaml."""
PATIENCE_S: Final = 15.0
_FUNCTION: Final = ROOT / "functions" / "serialize_image"
_QUALITY: Final = 85
_HEAD: Final = struct.Struct(">II")  # of a request: longest side and length; of an answer: 1 if shown, length


class CannotBeShownError(CommandError):
    """A file is no photo that the workflow reads, or a damaged one."""


class Decoder:
    """Decodes photos in a process of its own, which it starts at the first. Threads take turns.

    Args:
        patience_s: how long one photo may take.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def jpeg(self, photo: bytes, longest_side: int) -> bytes:
        """Return a photo as JPEG: upright, sRGB, on white, no side longer than so many pixels.

        Raises:
            CannotBeShownError: it is no photo, a damaged one, too large, or takes too long.
        """
        with self._lock:
            process = self._running()
            timer = threading.Timer(self._patience_s, process.kill)
            timer.start()
            try:
                shown, answer = _asked(process, photo, longest_side)
            except (OSError, EOFError) as error:
                self._end()
                raise CannotBeShownError("its decoding took too long or too much memory") from error
            finally:
                timer.cancel()
        if not shown:
            raise CannotBeShownError(answer.decode())
        return answer

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            # Of a group of its own: Ctrl-C is for the program, and this process ends with its standard input.
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


_decoder: Final = Decoder()
atexit.register(_decoder.close)


def jpeg(photo: bytes, longest_side: int) -> bytes:
    """Return a photo as JPEG, see `Decoder.jpeg`.

    Raises:
        CannotBeShownError: it cannot be shown.
    """
    return _decoder.jpeg(photo, longest_side)


def _asked(process: subprocess.Popen[bytes], photo: bytes, longest_side: int) -> tuple[bool, bytes]:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    process.stdin.write(_HEAD.pack(longest_side, len(photo)) + photo)
    process.stdin.flush()
    shown, length = _HEAD.unpack(_exactly(process.stdout, _HEAD.size))
    return bool(shown), _exactly(process.stdout, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return content


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until they end; this is what the process does.

    Args:
        requests: a longest side, a length, and so many bytes of a photo each.
        answers: 1 and a JPEG, or 0 and why there is none.
    """
    sys.path.insert(0, str(_FUNCTION))
    while head := requests.read(_HEAD.size):
        longest_side, length = _HEAD.unpack(head)
        shown, content = _decoded(_exactly(requests, length), longest_side)
        answers.write(_HEAD.pack(shown, len(content)) + content)
        answers.flush()


def _decoded(photo: bytes, longest_side: int) -> tuple[bool, bytes]:
    buffer = io.BytesIO()
    try:
        imaging = importlib.import_module("imaging")  # of the function
        image = imaging.render(photo, longest_side=longest_side, max_pixels=MAX_PIXELS)
        image.info = {}
        image.save(buffer, "JPEG", quality=_QUALITY)
    except Exception as error:  # noqa: BLE001 - whatever it is, this photo cannot be shown
        return False, (str(error) or type(error).__name__).encode()
    return True, buffer.getvalue()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
