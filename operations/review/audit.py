"""The audit: accepted photos, drawn at random, are looked at blind; they bound the model's error rate."""

import heapq
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Final

from model_build.evaluation.promise import CONFIDENCE, error_bound
from operations.photos.labelled import identity
from operations.results import SAMPLED, ResultsTable, Version

PERIOD = timedelta(days=30)
DRAW_EVERY_S: Final = 30.0
_MOST_A_DRAW: Final = 20_000  # photos that are read; the next draw goes on
_LATE: Final = timedelta(minutes=5)  # a record may be in the index so long after its time


def bound(photos: int, errors: int) -> str:
    """Return in words what so many audited photos, some of them labelled wrongly by the model, prove."""
    if not photos:
        return "no accepted photo was audited yet"
    return (
        f"at most {100 * error_bound(errors, photos):.1f} % wrong among accepted photos, "
        f"{100 * CONFIDENCE:.0f} % sure, from {photos} audited with {errors} wrong"
    )


class Audit:
    """Draws a share of accepted photos, each once, in their digests' order: every desk draws the same."""

    def __init__(self, table: ResultsTable, share: float) -> None:
        self._table, self._share = table, share
        self._drawn: list[tuple[float, Version]] = []
        self._seen: set[Version] = set()
        self._photos: Iterator[tuple[float, Version]] = iter(())
        self._since = table.now() - PERIOD
        self._next_draw = float("-inf")

    def draw(self) -> None:
        """Read the table, now and then: it may take a while."""
        if not self._share or time.monotonic() < self._next_draw:
            return
        self._next_draw = time.monotonic() + DRAW_EVERY_S
        if len(read := list(islice(self._photos, _MOST_A_DRAW))) < _MOST_A_DRAW:
            self._photos = self._read()
            read += islice(self._photos, _MOST_A_DRAW)
        for lot, version in read:
            if lot < 1 and version not in self._seen:
                self._seen.add(version)
                heapq.heappush(self._drawn, (lot, version))

    def next(self) -> Version | None:
        """Return a photo; None if enough were drawn of those that were accepted so far."""
        return heapq.heappop(self._drawn)[1] if self._drawn else None

    def _read(self) -> Iterator[tuple[float, Version]]:
        """Yield photos with their lots, below 1 if drawn; only a share above the workflow's needs all."""
        now, others = self._table.now(), (self._share - SAMPLED) / (1 - SAMPLED)
        for sampled, share in ((True, self._share / SAMPLED), (False, others)):
            for version in self._table.accepted(self._since, sampled=sampled) if share > 0 else ():
                digest = identity(*version)
                yield int(digest, 16) / 16 ** len(digest) / share, version
        self._since = now - _LATE
