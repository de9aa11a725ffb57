"""Runs a web application on this machine until it is interrupted."""

import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from commandline.errors import CommandError


def serve(application: Starlette, host: str, port: int, started: Callable[[int], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        application: what is served.
        host: address to listen on.
        port: port; 0 takes a free one.
        started: called with the port once it listens.

    Raises:
        CommandError: the port is taken.
    """
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise CommandError(
            f"cannot listen on {host}:{port}: {error.strerror}; give another --port, or 0 for a free one"
        ) from error
    with listener:
        started(int(listener.getsockname()[1]))
        config = uvicorn.Config(application, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
