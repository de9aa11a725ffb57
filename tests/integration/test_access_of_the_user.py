"""Whose process asks a server on this machine, as Linux shows it."""

import os
import socket
from pathlib import Path

from localcloud.access_guard import refusal, user_of


def test_the_users_own_processes_are_answered_with_any_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        served, _ = server.accept()
    with client, served:
        other_end = served.getpeername()
        known = os.geteuid() if Path("/proc/net/tcp").exists() else None  # elsewhere nobody can tell
        assert user_of(other_end) == known
        signed = {"host": "127.0.0.1", "authorization": "AWS test:signature"}
        assert (refusal(signed, "/", "", "secret", other_end) is None) is (known is not None)
        assert refusal({"host": "127.0.0.1"}, "/", "", "secret", other_end), "a page cannot sign"
        assert refusal({**signed, "origin": "null"}, "/", "", "secret", other_end)
