"""What is said of photos that take long."""

from typing import Any

import pytest

from operations.photos import send
from operations.photos.watcher import Sent
from operations.stack import Stack
from operations.status import Situation


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
