"""SerializeImage's environment variables, validated once at start."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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
