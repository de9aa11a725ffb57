"""When an outcome can be relied on, and what counts as success."""

from dataclasses import replace
from typing import Any

import pytest

from operations.photos.outcome import Outcome, disagreement, succeeded, summarize
from operations.results import Record

RECORD = Record("s3://b/k", "v1", "ACCEPTED", "bicycle", 0.97, execution_arn="arn:1")
EVENT: dict[str, Any] = {"outcome": "ACCEPTED", "label": "bicycle", "confidence": 0.97, "error": None}
EVENT["execution_arn"] = "arn:1"
SUCCEEDED = {"status": "SUCCEEDED"}
GOOD = Outcome("a.jpg", "incoming/a.jpg", "ACCEPTED", "bicycle", 0.97, None, 1.23456)
REJECTED = Outcome("b", "incoming/b", "REJECTED", None, None, "UnsupportedImage: the file is empty", 0.5)


def test_sources_that_agree_are_no_problem() -> None:
    assert disagreement(RECORD, EVENT, SUCCEEDED) == ""
    assert disagreement(replace(RECORD, confidence=0.97 + 1e-15), EVENT, SUCCEEDED) == ""
    assert disagreement(RECORD, EVENT, None) == "", "an Express workflow keeps no executions"


@pytest.mark.parametrize(
    ("record", "event", "execution", "told"),
    [
        (None, EVENT, SUCCEEDED, "NoRecord"),
        (replace(RECORD, label="motorcycle"), EVENT, SUCCEEDED, "label"),
        (RECORD, EVENT | {"confidence": 0.96}, SUCCEEDED, "confidence"),
        (RECORD, EVENT | {"execution_arn": "arn:2"}, SUCCEEDED, "execution_arn"),
        (RECORD, EVENT, {"status": "FAILED", "error": "X"}, "ended FAILED X"),
        (replace(RECORD, outcome="ODD"), EVENT | {"outcome": "ODD"}, SUCCEEDED, "ODD"),
    ],
)
def test_sources_that_disagree_are_told(
    record: Record | None, event: dict[str, Any], execution: dict[str, Any], told: str
) -> None:
    assert told in disagreement(record, event, execution)


def test_a_rejected_photos_execution_must_end_with_its_error() -> None:
    record = Record("s3://b/k", "v1", "REJECTED", error="ImageTooLarge", execution_arn="arn:1")
    event = {"outcome": "REJECTED", "error": "ImageTooLarge", "execution_arn": "arn:1"}
    assert disagreement(record, event, {"status": "FAILED", "error": "ImageTooLarge"}) == ""
    assert disagreement(record, event, {"status": "FAILED", "error": "ObjectTooLarge"})
    assert disagreement(record, event, {"status": "SUCCEEDED"})


def test_the_json_line_has_the_documented_members() -> None:
    assert list(GOOD.as_json()) == [
        *("file", "s3_key", "outcome", "label", "confidence", "error", "seconds"),
    ]
    assert GOOD.as_json()["seconds"] == 1.235
    assert replace(GOOD, problem="NoRecord: …").as_json()["error"] == "NoRecord: …"


def test_only_failed_lost_or_contradicted_photos_make_a_failure() -> None:
    low_confidence = replace(GOOD, outcome="LOW_CONFIDENCE")
    assert succeeded([GOOD, low_confidence, REJECTED])
    assert not succeeded([GOOD, replace(GOOD, outcome="FAILED")])
    assert not succeeded([GOOD, replace(GOOD, outcome=None)])
    assert not succeeded([replace(GOOD, problem="Disagreement: …")])


def test_the_summary_counts_every_outcome() -> None:
    counts = {"ACCEPTED": 2, "LOW_CONFIDENCE": 0, "REJECTED": 1, "FAILED": 0}
    assert summarize([GOOD, GOOD, REJECTED], 2.0) == {"photos": 3, **counts, "seconds": 2.0}
