"""How outcomes are shown, in lines and on the page, and what is said while photos take long."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from operations.photos import send
from operations.photos.pictures import MOST_BYTES
from operations.photos.send import line, make_card, outcomes_page, show
from operations.photos.traces import Step
from operations.photos.watcher import Outcome, Sent, Watcher, succeeded
from operations.stack import Stack
from operations.status import Situation
from tests.support.commands import Scones
from tests.support.html_tags import Page
from tests.support.photo_files import encode, picture

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ACCEPTED = Outcome("a.jpg", "incoming/a.jpg", "ACCEPTED", "bicycle", 0.9876, None, 1.25, threshold=0.85)
REASON = "UnsupportedImage: the file is a text"
REJECTED = Outcome("b.png", "incoming/b.png", "REJECTED", None, None, REASON, 0.5)
PROBLEM = "NoOutcome: after 180 s the event never came"
LOST = Outcome("c.jpg", "incoming/c.jpg", None, None, None, None, 180.0, PROBLEM)


def test_the_json_line_has_the_documented_members() -> None:
    facts: dict[str, Any] = {"file": "a.jpg", "s3_key": "incoming/a.jpg", "outcome": "ACCEPTED"}
    facts |= {"label": "bicycle", "confidence": 0.9876, "error": None, "seconds": 1.235}
    assert list(replace(ACCEPTED, seconds=1.23456).as_json().items()) == list(facts.items())
    assert LOST.as_json()["error"] == PROBLEM


@pytest.mark.parametrize(
    ("changed", "success"),
    [
        ({"outcome": "LOW_CONFIDENCE"}, True),
        ({"outcome": "FAILED"}, False),
        ({"outcome": None}, False),
        ({"problem": "Disagreement: …"}, False),
    ],
)
def test_only_failed_lost_or_contradicted_photos_make_a_failure(
    changed: dict[str, Any], *, success: bool
) -> None:
    assert succeeded([ACCEPTED, replace(ACCEPTED, **changed), REJECTED]) == success


def test_json_output_is_one_object_a_line_and_the_summary_last(capsys: pytest.CaptureFixture[str]) -> None:
    shown = show(iter([ACCEPTED, replace(REJECTED, file="ä\udcff\n")]), 2, as_json=True)
    *photos, last = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [photo["file"] for photo in photos] == ["a.jpg", "ä\udcff\n"]
    counts = {"ACCEPTED": 1, "LOW_CONFIDENCE": 0, "REJECTED": 1, "FAILED": 0}
    assert last["summary"] == {"photos": len(shown), **counts, "seconds": last["summary"]["seconds"]}


def test_a_line_for_people_names_file_outcome_and_error() -> None:
    text = line(REJECTED, colour=False)
    assert text.startswith("REJECTED")
    assert "UnsupportedImage: the file is a text" in text
    assert "\x1b" not in text
    assert "\x1b[32m" in line(ACCEPTED, colour=True)
    assert line(replace(ACCEPTED, problem="NoRecord: x"), colour=False).startswith("PROBLEM")


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
    doubtful = replace(ACCEPTED, outcome=outcome, label="motorcycle", confidence=0.501, neither=neither)
    assert shown in line(doubtful, colour=False)
    assert doubtful.as_json()["label"] == "motorcycle"


def test_control_characters_of_a_name_are_escaped() -> None:
    text = line(replace(REJECTED, file="\x1b[2J\r\n\x9bä.jpg", error="a\x07b"), colour=False)
    assert r"\x1b[2J\r\n\x9bä.jpg" in text
    assert r"a\x07b" in text
    assert text.count("\n") == 1


def test_one_photo_is_not_photos_and_a_lost_one_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    show([LOST], 1, as_json=False)
    captured = capsys.readouterr()
    assert "\n1 photo in 0.0 s: 0 ACCEPTED" in captured.out
    assert "1 without an outcome" in captured.out
    assert captured.err == "", "a progress bar is for terminals"


def test_it_is_said_after_some_seconds_and_then_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stack: Stack
) -> None:
    seconds = 0.0
    monkeypatch.setattr(Situation, "trouble", lambda _: ["the endpoint\x1b throttles"])
    monkeypatch.setattr(Sent, "seconds", lambda _: seconds)
    waiting = send.Waiting(stack)
    pending: list[Any] = [Sent("a.jpg", "incoming/a.jpg", "", "", 0)]
    said = []
    for seconds in (1, 7, 9, 10, 15, 17, 31, 33):  # noqa: B007 - the photo's age
        waiting.explain(pending)
        said.append(len(capsys.readouterr().err.splitlines()))
    assert said == [0, 0, 1, 0, 0, 1, 0, 1]


@pytest.mark.usefixtures("stack")
def test_an_interrupted_command_names_what_was_sent_and_what_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scones: Scones
) -> None:
    def outcome(_: Watcher, sent: Sent) -> Outcome | None:
        return replace(ACCEPTED, file=sent.name) if sent.key == "incoming/0.jpg" else None

    monkeypatch.setattr(Watcher, "listen", Mock(side_effect=[None, None, KeyboardInterrupt]))
    monkeypatch.setattr(Watcher, "outcome", outcome)
    photos = [tmp_path / f"{number}.jpg" for number in range(9)]
    for photo in photos:
        photo.touch()

    assert scones("send", *map(str, photos)) == 130

    assert "0.jpg" in scones.out
    *_, sent, unsent, still, last = filter(None, scones.err.splitlines())
    assert sent == f"sent, without an outcome so far: {', '.join(map(str, photos[1:7]))}"
    assert unsent == f"not sent: 2 photos, from {photos[7]} on"
    assert "what was sent is classified all the same" in still
    assert last.endswith("interrupted")


def page(*outcomes: Outcome, steps: tuple[Step, ...] = (), image: str = "") -> Page:
    cards = [make_card(one, Path("missing.jpg"), steps) for one in outcomes]
    cards = [replace(card, image=image or card.image) for card in cards]
    return Page(outcomes_page(cards, stack_name="scones", threshold=0.85, now=NOW))


def test_each_photo_is_shown_with_its_outcome_reason_time_and_trace() -> None:
    steps = (Step("SerializeImage", 0.5, 1), Step("ClassifyImage", 2.0, 3, "EndpointBusy"))
    shown = re.sub(r"\s+", " ", page(ACCEPTED, REJECTED, steps=steps).text)
    texts = ["a.jpg", "bicycle", "0.988", "1.2 s", "b.png", REASON, "2 photos"]
    texts += ["SerializeImage 0.50 s", "ClassifyImage 2.00 s, 3 attempts", "EndpointBusy"]
    assert [text for text in texts if text not in shown] == []


def test_every_outcome_has_a_filter_with_its_count() -> None:
    shown = page(ACCEPTED, ACCEPTED, REJECTED)
    names = ("all", "LOW_CONFIDENCE", "FAILED", "REJECTED", "ACCEPTED")
    assert shown.values("for") == [f"show-{name}" for name in names]
    assert "2AcceptedACCEPTED" in shown.text
    lost = page(ACCEPTED, REJECTED, LOST)
    assert "show-NO_OUTCOME" in lost.values("for")
    assert "the event never came" in lost.text
    places = [lost.text.index(name) for name in ("c.jpg", "b.png", "a.jpg")]
    assert places == sorted(places), "what needs a person comes first"


def test_a_doubtful_photo_without_a_vehicle_says_so_on_the_page() -> None:
    shown = page(replace(ACCEPTED, outcome="LOW_CONFIDENCE", neither=0.984))
    assert "neither 0.984" in re.sub(r"\s+", " ", shown.text)
    assert "bicycle" not in shown.text
    assert "0.988" not in "".join(map(str, shown.values("aria-label"))), "no bar against the threshold"


def test_hostile_names_are_text() -> None:
    name = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    shown = page(replace(REJECTED, file=name, error=name))
    assert {tag for tag, _ in shown.tags}.isdisjoint({"script", "img"})
    assert shown.text.count(name) == 2
    assert name in shown.values("title")


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    shown = page(ACCEPTED, image="data:image/jpeg;base64,AAAA")
    assert shown.values("src", "href") == ["data:image/jpeg;base64,AAAA"]
    assert shown.open == []
    policy = next(attrs for tag, attrs in shown.tags if tag == "meta" and "http-equiv" in attrs)
    assert (policy["content"] or "").startswith("default-src 'none'")


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
    assert missing is None or missing in card.missing != ""
