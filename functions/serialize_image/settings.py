"""SerializeImage's environment variables, validated once at start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of the input and of the output.

    Attributes:
        max_object_bytes: an object with more bytes is refused before its body is read.
        max_pixels: an image with more pixels (width times height) is refused before it is decoded.
        longest_side: no side of the returned image is longer, in pixels.
    """

    max_object_bytes: int
    max_pixels: int
    longest_side: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read MAX_OBJECT_BYTES, MAX_PIXELS and LONGEST_SIDE.

        Raises:
            ValueError: a variable is missing or out of its bounds; the message names it.
        """
        return cls(
            max_object_bytes=_whole_number(environment, "MAX_OBJECT_BYTES", 1, 100 * 1024 * 1024),
            max_pixels=_whole_number(environment, "MAX_PIXELS", 1, 200_000_000),
            longest_side=_whole_number(environment, "LONGEST_SIDE", 16, 256),
        )


def _whole_number(environment: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = environment.get(name, "")
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(
            f"environment variable {name} is {text!r}: set it to a whole number from {least} to {most}"
        )
    return int(text)
