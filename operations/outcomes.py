"""The outcomes of a photo, and how they are coloured on a terminal."""

from typing import Final

OUTCOMES: Final = ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED")

_COLOURS: Final = {"ACCEPTED": 32, "LOW_CONFIDENCE": 33, "REJECTED": 35}
_RED: Final = 31
_WIDTH: Final = max(map(len, OUTCOMES))


def painted(word: str, *, colour: bool) -> str:
    """Return an outcome (or what stands in its place) padded to one width, in its colour."""
    padded = f"{word:<{_WIDTH}}"
    return f"\x1b[{_COLOURS.get(word, _RED)}m{padded}\x1b[0m" if colour else padded
