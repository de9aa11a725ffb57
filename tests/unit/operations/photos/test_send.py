"""What is said of photos that take long, and of those that have no outcome when `send` is interrupted."""

from pathlib import Path
from typing import Any

import pytest

from operations.__main__ import main
from operations.photos import send
from operations.photos.outcome import Outcome
from operations.photos.watcher import Sent, Watcher
from operations.stack import Stack
from operations.status import Situation
from tests.support.aws_stack import create_in_cloudformation


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    create_in_cloudformation()
    listened = iter([1, 2, 3])

    def listen(_: Watcher) -> None:
        if next(listened) == 3:
            raise KeyboardInterrupt

    def outcome(_: Watcher, sent: Sent) -> Outcome | None:
        done = sent.key == "incoming/0.jpg"
        return Outcome(sent.name, sent.key, "ACCEPTED", "bicycle", 0.9, None, 1) if done else None

    monkeypatch.setattr(Watcher, "listen", listen)
    monkeypatch.setattr(Watcher, "outcome", outcome)
    photos = [tmp_path / f"{number}.jpg" for number in range(9)]
    for photo in photos:
        photo.touch()

    assert main(["send", *map(str, photos)]) == 130

    captured = capsys.readouterr()
    assert "0.jpg" in captured.out
    *_, sent, unsent, still, last = filter(None, captured.err.splitlines())
    names = ", ".join(map(str, photos[1:7]))
    assert sent == f"sent, without an outcome so far: {names}"
    assert unsent == f"not sent: 2 photos, from {photos[7]} on"
    assert "what was sent is classified all the same" in still
    assert last.endswith("interrupted")
