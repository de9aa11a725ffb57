"""One model version: an extracted model.tar.gz behind the server of the serving image, which AWS runs too.

Run as `python worker.py MODEL_DIR LISTENING_FD`, by file name, so that nothing of the emulator is imported:
the model sees the packages that a serving container has and its own code. It ends when its stdin closes, so
it cannot outlive the process that started it.
"""

import os
import runpy
import socket
import sys
import threading
from pathlib import Path

import uvicorn

SERVER = Path(__file__).resolve().parents[2] / "model_build" / "serving" / "container" / "server.py"


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> None:
    """Load the model, then serve until stdin closes; the socket listens from the start."""
    model_dir, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    application = runpy.run_path(str(SERVER))["application"](model_dir)
    print("model loaded", flush=True)
    config = uvicorn.Config(application, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
