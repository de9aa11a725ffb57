"""This machine in Lambda's terms: the functions run on it, so they are built for it."""

import platform
import sys


def host_runtime() -> str:
    """Return the Lambda runtime of this Python's version."""
    return f"python3.{sys.version_info.minor}"


def host_architecture() -> str:
    """Return the Lambda architecture of this machine's processor."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def build_target() -> dict[str, str]:
    """Return the variables that tell `sam build`'s makefiles what to build for.

    Lambda's wheels are for Linux. Elsewhere the functions, which this machine's Python runs, need its own.
    """
    target = {"PYTHON_RUNTIME": host_runtime(), "ARCHITECTURE": host_architecture()}
    return target if sys.platform == "linux" else target | {"WHEELS": "host"}
