"""What a load shows while it runs."""

import io

from rich.console import Console

from operations.load.view import View, sparkline
from tests.unit.operations.load.test_account import DUE, account, settle


def shown(view: View, **changes: object) -> str:
    one = account(4)
    settle(one, 0)
    settle(one, 1, "REJECTED")
    for name, value in changes.items():
        setattr(one, name, value)
    text = io.StringIO()
    Console(file=text, width=100).print(view.panel(one))
    return text.getvalue()


def test_the_view_tells_how_far_it_is_and_how_long_outcomes_take() -> None:
    text = shown(View("5 photos a second to scones", 10, DUE))
    assert "5 photos a second to scones" in text
    assert "4 of 10 photos" in text
    assert "2 of 4 versions" in text
    assert "p50 1.00 s" in text
    assert "max 2.00 s" in text
    lines = {words[1]: words[2] for line in text.splitlines() if len(words := line.split()) > 2}
    assert (lines["ACCEPTED"], lines["REJECTED"], lines["FAILED"]) == ("1", "1", "0")
    assert "not sent" not in text


def test_the_view_tells_what_could_not_be_sent() -> None:
    text = shown(View("load", 10, DUE), unsent=["a.jpg: the bucket is gone"])
    assert "not sent: 1" in text
    assert "the bucket is gone" in text


def test_a_load_that_has_sent_nothing_is_shown() -> None:
    text = shown(View("load", 10, DUE), due={}, records={})
    assert "0 of 10 photos" in text
    assert "p50 ?" in text


def test_a_sparkline_goes_from_zero_to_the_largest() -> None:
    assert sparkline([0, 5, 10]) == "▁▅█"
    assert sparkline([0.0]) == sparkline([]) == ""


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    with View("load", 10, DUE).on_terminal() as live:
        assert live is None
