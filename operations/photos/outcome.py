"""The outcome of one photo, and whether all records of it agree."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from operations.outcomes import OUTCOMES, guess
from operations.results import Record

_EXECUTION_STATUS: Final = {"ACCEPTED": "SUCCEEDED"} | dict.fromkeys(OUTCOMES[1:], "FAILED")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one photo; `problem` is why it cannot be relied on, empty if all sources agree."""

    file: str
    s3_key: str
    outcome: str | None
    label: str | None
    confidence: float | None
    error: str | None
    seconds: float
    problem: str = ""
    execution_arn: str | None = None
    started_at: str | None = None
    threshold: float | None = None
    neither: float | None = None

    @property
    def guess(self) -> tuple[str, float | None]:
        """What the model takes the photo for, and its probability."""
        return guess(self.outcome, self.label, self.confidence, self.neither)

    def as_json(self) -> dict[str, Any]:
        """Return the members of the line that `send --json` prints."""
        return {
            "file": self.file,
            "s3_key": self.s3_key,
            "outcome": self.outcome,
            "label": self.label,
            "confidence": self.confidence,
            "error": self.problem or self.error,
            "seconds": round(self.seconds, 3),
        }


def succeeded(outcomes: Iterable[Outcome]) -> bool:
    """Return whether every photo has an outcome that all sources agree on, and none is FAILED."""
    return all(not o.problem and o.outcome in OUTCOMES and o.outcome != "FAILED" for o in outcomes)


def summarize(outcomes: Sequence[Outcome], seconds: float) -> dict[str, float]:
    """Return the members of the summary: photos, how many of each outcome, seconds."""
    counts = Counter(outcome.outcome for outcome in outcomes)
    return {
        "photos": len(outcomes),
        **{name: counts[name] for name in OUTCOMES},
        "seconds": round(seconds, 3),
    }


def disagreement(record: Record | None, event: Mapping[str, Any], execution: Mapping[str, Any] | None) -> str:
    """Return what results table, event and execution say differently; empty if they agree."""
    if record is None:
        return f"NoRecord: the event has {event.get('outcome')}, the results table has no record"
    for name in ("outcome", "label", "confidence", "error", "execution_arn"):
        recorded, published = getattr(record, name), event.get(name)
        if not _same(recorded, published):
            return f"Disagreement: {name} is {recorded!r} in the results table and {published!r} in the event"
    expected = _EXECUTION_STATUS.get(record.outcome)
    if execution and (execution["status"] != expected or execution.get("error") != record.error):
        ended = f"{execution['status']} {execution.get('error') or ''}".strip()
        return f"Disagreement: recorded as {record.outcome}, but the execution ended {ended}"
    return ""


def _same(one: Any, other: Any) -> bool:
    # Step Functions writes a number as text of 15 digits before DynamoDB gets it.
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return bool(one == other)
