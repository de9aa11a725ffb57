"""The review desk: on loopback, for whoever has its whole address, people decide on doubtful photos."""

import os
import secrets
from typing import Final

LOOPBACK: Final = "127.0.0.1"
TOKEN_VARIABLE: Final = "SCONES_DESK_TOKEN"  # noqa: S105 - a name
"""Environment variable with the token of a desk whose address is known before it starts."""


def desk_token() -> str:
    """Return the token in `TOKEN_VARIABLE`, or a new one."""
    return os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(16)


def desk_address(port: int, token: str, page: str = "") -> str:
    """Return the address of a page of the desk."""
    return f"http://{LOOPBACK}:{port}/{page}?token={token}"
