"""This machine in Lambda's terms: the functions run on it, so they are built for it."""

import platform
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def host_runtime() -> str:
    """Return the Lambda runtime of this Python's version."""
    return f"python3.{sys.version_info.minor}"


def host_architecture() -> str:
    """Return the Lambda architecture of this machine's processor."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def build_target() -> dict[str, str]:
    """Return the variables that tell `sam build`'s makefiles what to build for.

    This machine's Python runs the functions, so they get the wheels that fit it rather than Lambda's. The
    wheels are kept: only the first build needs a network.
    """
    return {
        "PYTHON_RUNTIME": host_runtime(),
        "ARCHITECTURE": host_architecture(),
        "WHEELS": "host",
        "SCONES_WHEELS": str(ROOT / "build" / "wheels"),
    }
