"""FilterInference's environment variables, validated once at start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FEWEST_LABELS = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """The class labels in the endpoint's order, and the lowest accepted confidence (0 to 1)."""

    class_labels: tuple[str, ...]
    confidence_threshold: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read CLASS_LABELS (comma separated) and CONFIDENCE_THRESHOLD.

        Raises:
            ValueError: a variable is missing or invalid; the message names it.
        """
        text = environment.get("CLASS_LABELS", "")
        labels = tuple(label.strip() for label in text.split(","))
        if len(labels) < _FEWEST_LABELS or len(set(labels)) < len(labels) or not all(labels):
            raise ValueError(
                f"environment variable CLASS_LABELS is {text!r}: give two or more different labels, "
                "comma separated"
            )
        return cls(labels, _threshold(environment.get("CONFIDENCE_THRESHOLD", "")))


def _threshold(text: str) -> float:
    try:
        threshold = float(text)
    except ValueError:
        threshold = float("nan")
    if not 0 <= threshold <= 1:  # also true of NaN
        raise ValueError(f"environment variable CONFIDENCE_THRESHOLD is {text!r}: set a number from 0 to 1")
    return threshold
