"""The results table over time: how photos ended, and how long that took."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from operations.outcomes import OUTCOMES
from operations.report import Floats, Ints
from operations.results import Record


@dataclass(frozen=True)
class History:
    """The outcomes of M photos in the order of time; arrays are [M]."""

    times: Floats  # of the record, seconds since 1970
    outcomes: Ints  # index into OUTCOMES
    seconds: Floats  # from the execution's start to the record; nan if it is not known
    confidences: Floats  # nan where nothing was answered
    answers: Ints  # index of each answer's label; -1 where there was none
    threshold: float | None  # the confidence that the newest record needed
    unreadable: int  # records without an outcome or a time

    def __len__(self) -> int:
        """Return the number of usable records."""
        return len(self.times)

    def counts(self) -> dict[str, int]:
        """Return the number of photos by outcome."""
        found = np.bincount(self.outcomes, minlength=len(OUTCOMES))
        return dict(zip(OUTCOMES, found.tolist(), strict=True))


def read_history(records: Iterable[Record], labels: Sequence[str]) -> History:
    """Read records, in any order, without keeping them; an answer of another label counts as none."""
    classes: dict[str | None, int] = {label: number for number, label in enumerate(labels)}
    numbers = {name: number for number, name in enumerate(OUTCOMES)}
    rows = array("d")
    newest, threshold, unreadable = -np.inf, None, 0
    for record in records:
        recorded = _seconds(record.recorded_at)
        if record.outcome not in numbers or np.isnan(recorded):
            unreadable += 1
            continue
        confidence = np.nan if record.confidence is None else record.confidence
        took = recorded - _seconds(record.started_at)
        rows.extend((recorded, numbers[record.outcome], took, confidence, classes.get(record.label, -1)))
        if record.threshold is not None and recorded > newest:
            newest, threshold = recorded, record.threshold
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    times, outcomes, seconds, confidences, answers = table[np.argsort(table[:, 0], kind="stable")].T
    codes = outcomes.astype(np.int64), answers.astype(np.int64)
    return History(times, codes[0], seconds, confidences, codes[1], threshold, unreadable)


def _seconds(text: str | None) -> float:
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return float("nan")
