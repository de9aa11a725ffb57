"""How outcomes are shown."""

import json
from dataclasses import replace

import pytest

from operations.photos.outcome import Outcome
from operations.photos.send import line, show

GOOD = Outcome("a.jpg", "incoming/a.jpg", "ACCEPTED", "bicycle", 0.97, None, 1.23456)
REJECTED = Outcome("b", "incoming/b", "REJECTED", None, None, "UnsupportedImage: the file is empty", 0.5)


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
