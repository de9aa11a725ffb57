"""SerializeImage's environment, validated once at start: its variables, memory and build."""

from __future__ import annotations

import contextlib
import json
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from errors import BuildMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

STAMP = Path(__file__).with_name("build_target.json")


@dataclass(frozen=True, slots=True)
class Settings:
    """The bytes and pixels that a photo may have, and the longest side of the returned image in pixels."""

    max_object_bytes: int
    max_pixels: int
    longest_side: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read MAX_OBJECT_BYTES, MAX_PIXELS and LONGEST_SIDE; ValueError names a missing or wrong one."""
        bounds = {"MAX_OBJECT_BYTES": (1, 100 << 20), "MAX_PIXELS": (1, 2 * 10**8), "LONGEST_SIDE": (16, 256)}
        for name, (least, most) in bounds.items():
            text = environment.get(name, "")
            if not text.isdecimal() or not least <= int(text) <= most:
                raise ValueError(
                    f"environment variable {name} is {text!r}: set a whole number from {least} to {most}"
                )
        return cls(*(int(environment[name]) for name in bounds))


def limit_memory(environment: Mapping[str, str]) -> None:
    """Make what needs more memory than the function has raise MemoryError, instead of being killed for it."""
    with contextlib.suppress(ImportError, KeyError, OSError, ValueError):  # not on every system
        import resource  # noqa: PLC0415

        size = int(environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) << 20
        resource.setrlimit(resource.RLIMIT_DATA, (size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def check_build(stamp: Path = STAMP) -> None:
    """Raise BuildMismatch, which has the right command, unless built for this Python and processor.

    Pillow's own import error names neither cause nor remedy. The source folder has no stamp of a build.
    """
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
