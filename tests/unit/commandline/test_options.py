"""Option types: what they take, and what they refuse."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from commandline.options import EXISTING, PATH, PROBABILITY, Duration, FiniteRange, Seconds


@pytest.mark.parametrize(("text", "seconds"), [("90", 90.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_seconds(text: str, seconds: float) -> None:
    assert Seconds().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("24H", timedelta(hours=24)),
        ("1.5d", timedelta(days=1.5)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert Duration().convert(text, None, None) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *[(Seconds(), text) for text in ("0", "-1", "nan", "inf", "-inf", "soon", "", "1e300")],
        *[
            (Duration(), text)
            for text in ("24", "h", "0h", "-1h", "1w", "1 h", "nan", "999999d", "9999999d", "٣d", "")
        ],
        *[(PROBABILITY, text) for text in ("-0.1", "1.1", "nan", "85%", "")],
        *[(FiniteRange(min=0), text) for text in ("nan", "inf", "-1")],
    ],
)
def test_what_is_out_of_bounds_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


def test_a_path_may_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert PATH.convert("~/photos", None, None) == Path("/home/somebody/photos")
    assert PATH.convert("photos/~", None, None) == Path("photos/~")


@pytest.mark.parametrize("text", ["", "/dev/zero", "a\0b", "~nobody-of-this-name/x", "x" * 5000])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        EXISTING.convert(text, None, None)
