"""What came from outside does nothing to a terminal."""

import os

import pytest

from commandline.terminal import visible


@pytest.mark.parametrize(
    "name", ["it's r&d (ü).jpg", "日本.jpg", "\N{BICYCLE}\N{VARIATION SELECTOR-16}.jpg", "a\\nb"]
)
def test_other_texts_are_left_as_they_are(name: str) -> None:
    assert visible(name) == name


def test_every_control_character_is_escaped() -> None:
    controls = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x202E, 0x2066)]
    assert visible("".join(controls)).isprintable()
    assert visible("a\nb\x1b", kept="\n") == "a\nb\\x1b"
    assert visible(os.fsdecode(b"\xff.jpg")) == "\\udcff.jpg"
