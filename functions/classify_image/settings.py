"""ClassifyImage's environment variables, validated once at start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FEWEST_LABELS = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """The endpoint to invoke, and the class labels in the order of its probabilities."""

    endpoint_name: str
    class_labels: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read ENDPOINT_NAME and CLASS_LABELS (comma separated).

        Raises:
            ValueError: a variable is missing or invalid; the message names it.
        """
        endpoint_name = environment.get("ENDPOINT_NAME", "").strip()
        if not endpoint_name:
            raise ValueError("environment variable ENDPOINT_NAME is not set: name a SageMaker endpoint")
        text = environment.get("CLASS_LABELS", "")
        labels = tuple(label.strip() for label in text.split(","))
        if len(labels) < _FEWEST_LABELS or len(set(labels)) < len(labels) or not all(labels):
            raise ValueError(
                f"environment variable CLASS_LABELS is {text!r}: give two or more different labels, "
                "comma separated"
            )
        return cls(endpoint_name, labels)
