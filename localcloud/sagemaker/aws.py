"""boto3 clients of the emulator, created once: threads may share a client, but not a session."""

import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

_ONE_RETRY = Config(retries={"mode": "standard", "total_max_attempts": 2})
"""ministack answers at once, or has ended: this server then has no time for more."""
_lock = threading.Lock()


@cache
def _make(service: str) -> Any:
    return boto3.session.Session().client(service, config=_ONE_RETRY)  # type: ignore[call-overload]  # the name is no literal


def client(service: str) -> Any:
    """Return the shared client of a service, at the address that the AWS_ENDPOINT_URL* variables name."""
    with _lock:
        return _make(service)
