"""The audit: accepted photos, drawn at random, are looked at blind; they bound the model's error rate."""

import random
import time
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from model_build.evaluation.promise import CONFIDENCE, error_bound
from operations.results import Record, ResultsTable

PERIOD = timedelta(days=30)
DRAW_EVERY_S: Final = 30.0  # a draw asks for every day of the period


@dataclass(frozen=True)
class Audited:
    """Accepted photos that a person has looked at, and those of them that the model labelled wrongly."""

    photos: int
    errors: int

    def sentence(self) -> str:
        """Return the bound in words."""
        if not self.photos:
            return "no accepted photo was audited yet"
        bound = error_bound(self.errors, self.photos)
        return (
            f"at most {100 * bound:.1f} % wrong among accepted photos, {100 * CONFIDENCE:.0f} % sure, from "
            f"{self.photos} audited with {self.errors} wrong"
        )


def is_audit(record: Record) -> bool:
    """Return whether a person has looked at a photo that the model had accepted."""
    sure = record.confidence is not None and record.threshold is not None
    return bool(record.decided_by and sure and (record.confidence or 0) >= (record.threshold or 0))


def audited(table: ResultsTable) -> Audited:
    """Count the audited photos of the last 30 days."""
    since = table.now() - PERIOD
    found = [one for name in ("ACCEPTED", "REJECTED") for one in table.find(outcome=name, since=since)]
    looked_at = [record for record in found if is_audit(record)]
    return Audited(len(looked_at), sum(record.label != record.model_label for record in looked_at))


class Audit:
    """Draws a share of the last 30 days' accepted photos that nobody has looked at, each once."""

    def __init__(self, table: ResultsTable, share: float, seed: int | None = None) -> None:
        self._table, self._share = table, share
        self._chance = random.Random(seed)  # noqa: S311  # a sample, no secret
        self._drawn: deque[Record] = deque()
        self._seen: set[tuple[str, str]] = set()
        self._next_draw = float("-inf")

    def next(self) -> Record | None:
        """Return a photo; None if enough were drawn of those that were accepted so far."""
        if not self._drawn and self._share and time.monotonic() >= self._next_draw:
            self._next_draw = time.monotonic() + DRAW_EVERY_S
            self._drawn.extend(self._draw())
        return self._drawn.popleft() if self._drawn else None

    def _draw(self) -> list[Record]:
        since = self._table.now() - PERIOD
        accepted = list(self._table.find(outcome="ACCEPTED", since=since))
        rejected = [one for one in self._table.find(outcome="REJECTED", since=since) if is_audit(one)]
        undecided = [record for record in accepted if not record.decided_by]
        fresh = [record for record in undecided if record.version not in self._seen]
        done = sum(map(is_audit, accepted)) + len(rejected) + len(undecided) - len(fresh)
        wanted = round(self._share * (len(accepted) + len(rejected))) - done
        drawn = self._chance.sample(fresh, max(0, min(wanted, len(fresh))))
        self._seen.update(record.version for record in drawn)
        return drawn
