"""ClassifyBatch's environment variables, validated once at start; those of the three functions are theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_PHOTOS = 32
_MOST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Settings:
    """Where outcomes go, and how many photos are classified side by side.

    Attributes:
        results_table: name of the results table.
        review_queue_url: queue of the photos that a person reviews.
        event_bus: the bus that outcomes are published on.
        threshold: the lowest accepted confidence, as it is recorded.
        photos_at_a_time: photos of a batch that are classified at the same time.
        retention_days: how long records are kept; 0 for ever.
    """

    results_table: str
    review_queue_url: str
    event_bus: str
    threshold: str
    photos_at_a_time: int
    retention_days: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the variables that are named like the attributes.

        Raises:
            ValueError: a variable is missing or invalid; the message names it.
        """
        return cls(
            results_table=_text(environment, "RESULTS_TABLE"),
            review_queue_url=_text(environment, "REVIEW_QUEUE_URL"),
            event_bus=_text(environment, "EVENT_BUS"),
            threshold=_text(environment, "CONFIDENCE_THRESHOLD"),
            photos_at_a_time=_count(environment, "PHOTOS_AT_A_TIME", 1, _MOST_PHOTOS),
            retention_days=_count(environment, "RESULT_RETENTION_DAYS", 0, _MOST_DAYS),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "").strip()
    if not text:
        raise ValueError(f"environment variable {name} is not set")
    return text


def _count(environment: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = environment.get(name, "")
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(
            f"environment variable {name} is {text!r}: set it to a whole number from {least} to {most}"
        )
    return int(text)
