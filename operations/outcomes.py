"""The outcomes of a photo, the event that tells of one, and how they are coloured on a terminal."""

from typing import Final

import click

OUTCOMES: Final = ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED")
SOURCE: Final = "scones.vehicle-classification"
DETAIL_TYPE: Final = "Vehicle Classified"
SEES_NONE: Final = 0.5
"""Probability of "none of the labels" from which on it is what the model takes a doubtful photo for."""

_COLOURS: Final = {"ACCEPTED": "green", "LOW_CONFIDENCE": "yellow", "REJECTED": "magenta"}


def painted(word: str, *, colour: bool) -> str:
    """Return an outcome (or what stands in its place) padded to one width, in its colour."""
    padded = f"{word:<{max(map(len, OUTCOMES))}}"
    return click.style(padded, fg=_COLOURS.get(word, "red")) if colour else padded


def guess(
    outcome: str | None, label: str | None, confidence: float | None, neither: float | None
) -> tuple[str, float | None]:
    """Return what the model takes a photo for, as the review desk shows it, and its probability."""
    if outcome == "LOW_CONFIDENCE" and (neither or 0) >= SEES_NONE:
        return "neither", neither
    return label or "", confidence
