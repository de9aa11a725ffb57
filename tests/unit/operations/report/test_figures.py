"""Figures of the report: the results table as columns."""

import numpy as np

from operations.report.figures import read_history
from operations.results import Record

LABELS = ("bicycle", "motorcycle")


def record(outcome: str, at: str | None, **more: str | float | None) -> Record:
    return Record("s3://photos/a.jpg", "v1", outcome, recorded_at=at, **more)  # type: ignore[arg-type]


def test_records_are_put_in_the_order_of_time() -> None:
    records = [
        record("LOW_CONFIDENCE", "2026-11-02T10:00:00.500Z", label="motorcycle", confidence=0.6),
        record("REJECTED", "2026-11-02T09:00:00Z", threshold=0.9, started_at="2026-11-02T08:59:57.500Z"),
        record("ACCEPTED", "2026-11-02T11:00:00Z", label="bicycle", confidence=0.97, threshold=0.85),
        record("ACCEPTED", "2026-11-02T12:00:00Z", label="unicycle", confidence=0.97),
    ]
    found = read_history(records, LABELS)
    assert found.outcomes.tolist() == [2, 1, 0, 0]
    assert found.answers.tolist() == [-1, 1, 0, -1]
    assert np.array_equal(found.confidences, [np.nan, 0.6, 0.97, 0.97], equal_nan=True)
    assert np.array_equal(found.seconds, [2.5, np.nan, np.nan, np.nan], equal_nan=True)
    assert found.counts() == {"ACCEPTED": 2, "LOW_CONFIDENCE": 1, "REJECTED": 1, "FAILED": 0}
    assert found.threshold == 0.85, "of the newest record that has one"
    assert read_history(records[::-1], LABELS).threshold == 0.85


def test_records_without_outcome_or_time_are_counted() -> None:
    records = [record("LOST", "2026-11-02T10:00:00Z"), record("ACCEPTED", None), record("ACCEPTED", "x")]
    found = read_history(records, LABELS)
    assert (len(found), found.unreadable, found.threshold) == (0, 3, None)
