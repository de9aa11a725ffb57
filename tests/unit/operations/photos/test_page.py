"""The page of outcomes: what it shows, that hostile names stay text, and that it loads nothing."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from operations.photos.outcome import Outcome
from operations.photos.page import make_card, outcomes_page
from operations.photos.pictures import MOST_BYTES
from operations.photos.steps import Step, steps_in
from tests.support.html_tags import Page
from tests.support.photo_files import encode, picture

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ACCEPTED = Outcome("a.jpg", "incoming/a.jpg", "ACCEPTED", "bicycle", 0.9876, None, 1.25, threshold=0.85)
REJECTED = Outcome(
    "b.png", "incoming/b.png", "REJECTED", None, None, "UnsupportedImage: the file is a text", 0.5
)
LOST = Outcome(
    "c.jpg", "incoming/c.jpg", None, None, None, None, 180.0, "NoOutcome: after 180 s the event never came"
)


def page(*outcomes: Outcome, steps: tuple[Step, ...] = (), image: str = "") -> Page:
    cards = [make_card(one, Path("missing.jpg"), steps) for one in outcomes]
    cards = [replace(card, image=image or card.image) for card in cards]
    return Page(outcomes_page(cards, stack_name="scones", threshold=0.85, now=NOW))


def test_each_photo_is_shown_with_its_outcome_label_confidence_reason_and_time() -> None:
    shown = page(ACCEPTED, REJECTED).text
    texts = (
        "a.jpg",
        "bicycle",
        "0.988",
        "1.2 s",
        "b.png",
        "UnsupportedImage: the file is a text",
        "2 photos",
    )
    assert [text for text in texts if text not in shown] == []


def test_every_outcome_has_a_filter_with_its_count() -> None:
    shown = page(ACCEPTED, ACCEPTED, REJECTED)
    names = ("all", "LOW_CONFIDENCE", "FAILED", "REJECTED", "ACCEPTED")
    assert shown.values("for") == [f"show-{name}" for name in names]
    assert "2AcceptedACCEPTED" in shown.text
    lost = page(LOST)
    assert "show-NO_OUTCOME" in lost.values("for")
    assert "the event never came" in lost.text


def test_what_needs_a_person_comes_first() -> None:
    text = page(ACCEPTED, REJECTED, LOST).text
    assert text.index("c.jpg") < text.index("b.png") < text.index("a.jpg")


def test_a_doubtful_photo_without_a_vehicle_says_so() -> None:
    shown = page(replace(ACCEPTED, outcome="LOW_CONFIDENCE", neither=0.984))
    assert "neither 0.984" in re.sub(r"\s+", " ", shown.text)
    assert "bicycle" not in shown.text
    assert "0.988" not in "".join(map(str, shown.values("aria-label"))), "no bar against the threshold"


def test_hostile_names_are_text() -> None:
    name = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    hostile = Outcome(name, "incoming/x", "REJECTED", None, None, name, 0.1)
    shown = page(hostile)
    assert {tag for tag, _ in shown.tags}.isdisjoint({"script", "img"})
    assert shown.text.count(name) == 2
    assert name in shown.values("title")


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    shown = page(ACCEPTED, image="data:image/jpeg;base64,AAAA")
    assert shown.values("src", "href") == ["data:image/jpeg;base64,AAAA"]
    assert shown.open == []
    policy = next(attrs for tag, attrs in shown.tags if tag == "meta" and "http-equiv" in attrs)
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_the_way_through_the_workflow_is_shown() -> None:
    shown = page(
        ACCEPTED, steps=(Step("SerializeImage", 0.5, 1), Step("ClassifyImage", 2.0, 3, "EndpointBusy"))
    )
    text = re.sub(r"\s+", " ", shown.text)
    assert "SerializeImage 0.50 s" in text
    assert "ClassifyImage 2.00 s, 3 attempts" in text
    assert "EndpointBusy" in text


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (b"a text", "not"),
        (b"\xff\xd8\xff\xe0 cut off", ""),
        (bytes(MOST_BYTES + 1), "the file is larger than 25 MiB"),
        (None, "the file cannot be read"),
        (encode(picture(), "JPEG"), None),
    ],
)
def test_a_photo_has_a_small_thumbnail_or_why_it_has_none(
    tmp_path: Path, content: bytes | None, missing: str | None
) -> None:
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    card = make_card(REJECTED, tmp_path / "a.jpg", ())
    assert len(card.image) < 10_000
    assert card.image.startswith("data:image/jpeg;base64,") == (missing is None)
    if missing is not None:
        assert missing in card.missing != ""


def event(kind: str, seconds: float, **more: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": datetime.fromtimestamp(seconds, UTC), **more}


def test_steps_are_read_from_the_history() -> None:
    history = [
        event("ExecutionStarted", 0),
        event("PassStateEntered", 0, stateEnteredEventDetails={"name": "ReadInput"}),
        event("TaskStateEntered", 1, stateEnteredEventDetails={"name": "SerializeImage"}),
        event("TaskScheduled", 1),
        event("TaskFailed", 2, taskFailedEventDetails={"error": "StorageUnavailable"}),
        event("TaskScheduled", 3),
        event("TaskSucceeded", 4),
        event("TaskStateExited", 4.5),
        event("TaskStateEntered", 5, stateEnteredEventDetails={"name": "ClassifyImage"}),
        event("TaskScheduled", 5),
        event("TaskTimedOut", 9, taskTimedOutEventDetails={"error": "States.Timeout"}),
        event("TaskStateExited", 9),
        event("FailStateEntered", 10, stateEnteredEventDetails={"name": "Failed"}),
    ]
    assert steps_in(history) == [
        Step("SerializeImage", 3.5, 2, succeeded=True),
        Step("ClassifyImage", 4.0, 1, "States.Timeout"),
        Step("Failed"),
    ]
