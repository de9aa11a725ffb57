"""The account of a load: what was sent, and what became of each version of each photo."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from operations.load.schedule import percentile
from operations.outcomes import OUTCOMES
from operations.results import Record

Version = tuple[str, str]
"""URI and version of an object."""


@dataclass
class Account:
    """Balances versions that were sent with outcomes that were recorded and published.

    Attributes:
        due: when each version was to be sent, by version: a wall-clock time, seconds since 1970.
        records: their records.
        events: how often the outcome of each was published.
        unsent: one message for each photo that S3 did not take.
    """

    due: dict[Version, float] = field(default_factory=dict)
    records: dict[Version, Record] = field(default_factory=dict)
    events: Counter[Version] = field(default_factory=Counter)
    unsent: list[str] = field(default_factory=list)

    def add_event(self, detail: Mapping[str, Any]) -> None:
        """Count a published outcome if it is of a photo of this load."""
        version = (detail["object_uri"], detail["object_version"])
        if version in self.due and not detail.get("reviewed"):
            self.events[version] += 1

    def add_records(self, records: Iterable[Record]) -> None:
        """Add records that were found."""
        for record in records:
            self.records[record.object_uri, record.object_version] = record

    def missing(self) -> list[Version]:
        """Return the versions that have no record yet."""
        return [version for version in self.due if version not in self.records]

    def unheard(self) -> list[Version]:
        """Return the versions whose outcome was not published yet."""
        return [version for version in self.due if not self.events[version]]

    def latencies(self) -> list[float]:
        """Return the seconds from when each version was due to when its outcome was recorded."""
        return [
            datetime.fromisoformat(record.recorded_at).timestamp() - self.due[version]
            for version, record in self.records.items()
            if record.recorded_at
        ]

    def summary(self) -> dict[str, Any]:
        """Return the summary; `lost` are versions without a record, or whose outcome was never published."""
        found = Counter(record.outcome for record in self.records.values())
        seconds = self.latencies()
        shares = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}
        return {
            "sent": len(self.due),
            "outcomes": {name: found[name] for name in OUTCOMES},
            "lost": len({*self.missing(), *self.unheard()}),
            "duplicates": sum(times - 1 for times in self.events.values()),
            "unsent": len(self.unsent),
            **{name: _rounded(percentile(seconds, share)) for name, share in shares.items()},
            "max_s": _rounded(max(seconds, default=None)),
        }


def balances(summary: Mapping[str, Any]) -> bool:
    """Return whether everything was sent, and every version has exactly one outcome."""
    return not (summary["lost"] or summary["duplicates"] or summary["unsent"])


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
