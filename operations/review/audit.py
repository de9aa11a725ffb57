"""The audit: accepted photos, drawn at random, are looked at blind; they bound the model's error rate."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from model_build.evaluation.promise import CONFIDENCE, error_bound
from operations.results import Record, ResultsTable
from operations.review.queue import Waiting

PERIOD = timedelta(days=30)


@dataclass(frozen=True)
class Audited:
    """What the audited photos say.

    Attributes:
        photos: accepted photos that a person has looked at.
        errors: of those, photos that show something else than the model said.
    """

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
    since = datetime.now(UTC) - PERIOD
    found = [one for name in ("ACCEPTED", "REJECTED") for one in table.find(outcome=name, since=since)]
    looked_at = [record for record in found if is_audit(record)]
    return Audited(len(looked_at), sum(record.label != record.model_label for record in looked_at))


def draw(table: ResultsTable, share: float, seed: int | None = None) -> Iterator[Waiting]:
    """Yield a random share of the photos that were accepted in the last 30 days and nobody has looked at.

    Args:
        table: the results table.
        share: of the accepted photos, 0 to 1.
        seed: equal seeds draw equal photos; by default every run draws others.
    """
    chance = random.Random(seed)  # noqa: S311  # a sample, no secret
    accepted = list(table.find(outcome="ACCEPTED", since=datetime.now(UTC) - PERIOD))
    fresh = [record for record in accepted if not record.decided_by]
    wanted = round(share * len(accepted)) - sum(map(is_audit, accepted))
    for record in chance.sample(fresh, max(0, min(wanted, len(fresh)))):
        yield Waiting(record.object_uri, record.object_version, record.as_json())
