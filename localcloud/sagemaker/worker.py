"""One model version: loads code/inference.py from an extracted model.tar.gz and answers over HTTP.

Run as `python worker.py MODEL_DIR LISTENING_FD`, by file name, so that nothing of the emulator is imported:
the model sees the packages that a serving container has (numpy, Pillow, onnxruntime) and its own code.

It treats inference.py as SageMaker's containers do: the model is loaded before the first answer to /ping,
/invocations runs input_fn, predict_fn and output_fn, an exception with a `status_code` becomes that HTTP
status and any other a 500. What `custom_attributes(model)` returns and what a prediction has as
`custom_attributes`, if the code has them, is sent with the answer. It ends when its stdin closes, so it
cannot outlive the process that started it.
"""

import importlib
import json
import os
import socket
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

HANDLERS = ("model_fn", "input_fn", "predict_fn", "output_fn")


def load_handlers(model_dir: Path) -> ModuleType:
    """Import the model's own code.

    Raises:
        ModuleNotFoundError: the archive has no code/inference.py.
        AttributeError: it lacks one of the four handler functions.
    """
    sys.path.insert(0, str(model_dir / "code"))
    module = importlib.import_module("inference")
    missing = [name for name in HANDLERS if not callable(getattr(module, name, None))]
    if missing:
        raise AttributeError(f"inference.py lacks {', '.join(missing)}")
    return module


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, listener: socket.socket, handlers: ModuleType, model: Any) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.handlers = handlers
        self.model = model
        describe = getattr(handlers, "custom_attributes", None)
        self.custom_attributes: str = describe(model) if callable(describe) else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Answer the platform's health check."""
        self._answer(200 if self.path == "/ping" else 404, "application/json", b"{}")

    def do_POST(self) -> None:
        """Answer one invocation."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        attributes = ""
        try:
            status, content_type, answer, attributes = 200, *self._infer(body)
        except Exception as error:  # noqa: BLE001  # whatever the model's code raises is the answer to this request
            traceback.print_exc()
            status = getattr(error, "status_code", 500)
            content_type = "application/json"
            answer = json.dumps({"error": type(error).__name__, "message": str(error)}).encode()
        self._answer(status, content_type, answer, attributes)

    def _infer(self, body: bytes) -> tuple[str, bytes, str]:
        code = self.server.handlers
        accept = self.headers.get("Accept", "")
        if accept in {"", "*/*"}:
            accept = "application/json"
        data = code.input_fn(body, self.headers.get("Content-Type", ""))
        prediction = code.predict_fn(data, self.server.model)
        answer = code.output_fn(prediction, accept)
        # The containers let output_fn name its content type by returning a pair.
        text, content_type = answer if isinstance(answer, tuple) else (answer, accept)
        attributes = filter(
            None, (self.server.custom_attributes, getattr(prediction, "custom_attributes", ""))
        )
        return content_type, text.encode() if isinstance(text, str) else bytes(text), ";".join(attributes)

    def _answer(self, status: int, content_type: str, body: bytes, attributes: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if attributes:
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", attributes)
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log only what failed: a line for each photo would hide it."""
        if code != 200:  # noqa: PLR2004
            super().log_request(code, size)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> None:
    """Load the model, then serve until stdin closes."""
    model_dir, listening_fd = Path(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    handlers = load_handlers(model_dir)
    model = handlers.model_fn(str(model_dir))
    print("model loaded", flush=True)
    _Server(socket.socket(fileno=listening_fd), handlers, model).serve_forever()


if __name__ == "__main__":
    main()
