"""The results table as columns."""

import numpy as np

from operations.report.history import read_history
from operations.results import Record

LABELS = ("bicycle", "motorcycle")


def record(outcome: str, at: str | None, **more: str | float | None) -> Record:
    return Record("s3://photos/a.jpg", "v1", outcome, recorded_at=at, **more)  # type: ignore[arg-type]


def test_records_are_put_in_the_order_of_time() -> None:
    found = read_history(
        [
            record("LOW_CONFIDENCE", "2026-11-02T10:00:00.500Z", label="motorcycle", confidence=0.6),
            record("REJECTED", "2026-11-02T09:00:00Z", threshold=0.9),
            record("ACCEPTED", "2026-11-02T11:00:00Z", label="bicycle", confidence=0.97, threshold=0.85),
            record("ACCEPTED", "2026-11-02T12:00:00Z", label="unicycle", confidence=0.97),
        ],
        LABELS,
    )
    assert found.outcomes.tolist() == [2, 1, 0, 0]
    assert found.answers.tolist() == [-1, 1, 0, -1]
    assert found.confidences.tolist()[1:] == [0.6, 0.97, 0.97]
    assert np.isnan(found.confidences[0])
    assert found.counts() == {"ACCEPTED": 2, "LOW_CONFIDENCE": 1, "REJECTED": 1, "FAILED": 0}


def test_the_threshold_is_that_of_the_newest_record() -> None:
    old = record("ACCEPTED", "2026-11-01T10:00:00Z", threshold=0.9)
    new = record("ACCEPTED", "2026-11-02T10:00:00Z", threshold=0.8)
    assert read_history([new, old], LABELS).threshold == 0.8
    assert read_history([], LABELS).threshold is None


def test_the_time_to_an_outcome_needs_both_times() -> None:
    found = read_history(
        [
            record("ACCEPTED", "2026-11-02T10:00:02.500Z", started_at="2026-11-02T10:00:00Z"),
            record("ACCEPTED", "2026-11-02T10:00:03Z"),
        ],
        LABELS,
    )
    assert found.seconds[0] == 2.5
    assert np.isnan(found.seconds[1])


def test_records_without_outcome_or_time_are_counted() -> None:
    found = read_history(
        [record("LOST", "2026-11-02T10:00:00Z"), record("ACCEPTED", None), record("ACCEPTED", "x")], LABELS
    )
    assert (len(found), found.unreadable) == (0, 3)
