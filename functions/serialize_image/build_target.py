"""Detect that the function was built for another Python or processor than it runs on.

Pillow is compiled code: built for another target it fails with an import error that names neither cause nor
remedy. The build writes `build_target.json` beside this file; run from the source folder, there is none and
nothing is compared.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from errors import BuildMismatch

STAMP = Path(__file__).with_name("build_target.json")
_PROCESSORS = {"amd64": "x86_64", "aarch64": "arm64"}


def running_on() -> dict[str, str]:
    """Return this interpreter and processor as Lambda names them: `python3.13`, and `x86_64` or `arm64`."""
    machine = platform.machine().lower()
    return {
        "python_runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "architecture": _PROCESSORS.get(machine, machine),
    }


def check(stamp: Path = STAMP) -> None:
    """Compare the target of the build with this interpreter and processor.

    Raises:
        BuildMismatch: they differ; the message has the command that builds for this target.
    """
    if not stamp.exists():
        return
    built_for = json.loads(stamp.read_text(encoding="utf-8"))
    here = running_on()
    if built_for != here:
        raise BuildMismatch(
            f"built for {built_for['python_runtime']} on {built_for['architecture']}, but runs "
            f"{here['python_runtime']} on {here['architecture']}: build with "
            f"PYTHON_RUNTIME={here['python_runtime']} ARCHITECTURE={here['architecture']} sam build, "
            "and deploy with the same values for the parameters PythonRuntime and Architecture"
        )
