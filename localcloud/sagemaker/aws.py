"""boto3 clients of the emulator, created once: threads may share a client, but not a session."""

import threading
from functools import cache
from typing import Any

import boto3

_lock = threading.Lock()


@cache
def _make(service: str) -> Any:
    return boto3.session.Session().client(service)  # type: ignore[call-overload]  # the name is no literal


def client(service: str) -> Any:
    """Return the shared client of a service, at the address that the AWS_ENDPOINT_URL* variables name."""
    with _lock:
        return _make(service)
