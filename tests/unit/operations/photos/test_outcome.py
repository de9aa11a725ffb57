"""When an outcome can be relied on, what counts as success, and how it is shown."""

import json
from dataclasses import replace
from typing import Any

import pytest

from operations.photos.outcome import Outcome, disagreement, succeeded, summarize
from operations.photos.send import line, show
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


def test_json_output_is_one_object_a_line_and_the_summary_last(capsys: pytest.CaptureFixture[str]) -> None:
    shown = show(iter([GOOD, replace(REJECTED, file="ä\udcff\n")]), 2, as_json=True)

    *photos, last = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [photo["file"] for photo in photos] == ["a.jpg", "ä\udcff\n"]
    assert last["summary"]["photos"] == len(shown) == 2


def test_a_line_for_people_names_file_outcome_and_error() -> None:
    text = line(REJECTED, colour=False)
    assert text.startswith("REJECTED")
    assert "UnsupportedImage: the file is empty" in text
    assert "\x1b" not in text
    assert "\x1b[32m" in line(GOOD, colour=True)
    assert line(replace(GOOD, problem="NoRecord: x"), colour=False).startswith("PROBLEM")


@pytest.mark.parametrize(
    ("outcome", "neither", "shown"),
    [
        ("LOW_CONFIDENCE", 0.98, "neither      0.980"),
        ("LOW_CONFIDENCE", 0.49, "motorcycle   0.501"),
        ("LOW_CONFIDENCE", None, "motorcycle   0.501"),
        ("ACCEPTED", 0.6, "motorcycle   0.501"),
    ],
)
def test_a_doubtful_photo_without_a_vehicle_says_so(outcome: str, neither: float | None, shown: str) -> None:
    doubtful = replace(GOOD, outcome=outcome, label="motorcycle", confidence=0.501, neither=neither)
    assert shown in line(doubtful, colour=False)
    assert doubtful.as_json()["label"] == "motorcycle"


def test_control_characters_of_a_name_are_escaped() -> None:
    text = line(replace(REJECTED, file="\x1b[2J\r\n\x9bä.jpg", error="a\x07b"), colour=False)
    assert r"\x1b[2J\r\n\x9bä.jpg" in text
    assert r"a\x07b" in text
    assert text.count("\n") == 1


def test_one_photo_is_not_photos_and_a_lost_one_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    show([replace(GOOD, outcome=None, problem="NoOutcome: …")], 1, as_json=False)

    captured = capsys.readouterr()
    assert "\n1 photo in 0.0 s: 0 ACCEPTED" in captured.out
    assert "1 without an outcome" in captured.out
    assert captured.err == "", "a progress bar is for terminals"
