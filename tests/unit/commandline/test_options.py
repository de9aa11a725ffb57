"""Option types: what they take, and what they refuse."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from commandline.options import EXISTING, PATH, PROBABILITY, SECONDS, Duration, FiniteRange, timeout_option


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        *[(SECONDS, text, value) for text, value in (("90", 90.0), ("0.5", 0.5), ("1e3", 1000.0))],
        (Duration(), "90s", timedelta(seconds=90)),
        (Duration(), "30m", timedelta(minutes=30)),
        (Duration(), "24H", timedelta(hours=24)),
        (Duration(), "1.5d", timedelta(days=1.5)),
        (PATH, "~/photos", Path("/home/somebody/photos")),
        (PATH, "photos/~", Path("photos/~")),
    ],
)
def test_what_is_taken(kind: Any, text: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *[(SECONDS, text) for text in ("0", "-1", "nan", "inf", "-inf", "soon", "", "1e300")],
        *[
            (Duration(), text)
            for text in ("24", "h", "0h", "-1h", "1w", "1 h", "nan", "999999d", "9999999d", "٣d", "")
        ],
        *[(PROBABILITY, text) for text in ("-0.1", "1.1", "nan", "85%", "")],
        *[(FiniteRange(min=0), text) for text in ("nan", "inf", "-1")],
        *[(EXISTING, text) for text in ("", "/dev/zero", "a\0b", "~nobody-of-this-name/x", "x" * 5000)],
    ],
)
def test_what_is_out_of_bounds_or_no_path_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


def test_the_help_of_a_time_has_its_unit() -> None:
    shown = CliRunner().invoke(click.command("wait")(timeout_option(9)(lambda **_: None)), ["--help"]).output
    assert "--timeout SECONDS" in shown
