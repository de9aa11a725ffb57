"""Detect that the function was built for another Python or processor than it runs on.

Pillow, built for another target, fails with an import error that names neither cause nor remedy. The build
writes `build_target.json` beside this file; in the source folder there is none, and nothing is compared.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from errors import BuildMismatch

STAMP = Path(__file__).with_name("build_target.json")


def check(stamp: Path = STAMP) -> None:
    """Raise BuildMismatch, which has the right command, unless built for this Python and processor."""
    if not stamp.exists():
        return
    built = json.loads(stamp.read_text(encoding="utf-8"))
    python, machine = f"python{sys.version_info.major}.{sys.version_info.minor}", platform.machine().lower()
    processor = {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)
    if built != {"python_runtime": python, "architecture": processor}:
        raise BuildMismatch(
            f"built for {built['python_runtime']} on {built['architecture']}, but runs {python} on "
            f"{processor}: build with PYTHON_RUNTIME={python} ARCHITECTURE={processor} sam build, "
            "and deploy with the same values for the parameters PythonRuntime and Architecture"
        )
