"""The traces of one photo: shown, and deleted."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commandline.errors import CommandError, UsageError
from operations.photos.traces import Step, named, steps_in, uri_of, versions_of
from operations.results import timestamp
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, put_record, upload
from tests.support.commands import Scones

KEY = "incoming/a b.jpg"
URI = f"s3://{BUCKET}/{KEY}"


@pytest.fixture
def stack(stack: Stack) -> Stack:
    """Return a stack with a photo of two versions, of which the first has an outcome, and one beside it."""
    first, *_ = (upload(stack, KEY, body) for body in (b"one", b"second"))
    upload(stack, f"{KEY}.png", b"another photo")
    put_record(stack, KEY, "LOW_CONFIDENCE", object_version=first, label="bicycle", confidence=0.6)
    put_record(stack, f"{KEY}.png", "ACCEPTED")
    return stack


def test_a_photo_is_named_by_uri_key_or_name_in_its_bucket(stack: Stack) -> None:
    assert {uri_of(stack, name) for name in (URI, KEY, "a b.jpg")} == {URI}
    with pytest.raises(UsageError, match="which is photos"):
        uri_of(stack, "s3://elsewhere/incoming/a.jpg")


def test_a_photo_is_found_by_the_file_that_was_sent_or_by_its_name(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, name = tmp_path / "a b.jpg", "album/one.jpg"
    file.write_bytes(b"second")
    put_record(stack, f"incoming/{name}", "ACCEPTED", recorded_at=timestamp(stack.now()))

    assert named(stack, str(file)) == URI
    assert f"taking the photo that was sent as {KEY}" in capsys.readouterr().err
    assert named(stack, "one.jpg") == named(stack, "gone/one.jpg") == f"s3://{BUCKET}/incoming/{name}"

    file.write_bytes(b"another photo of this name")
    digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()[:8]
    put_record(stack, f"incoming/a b-{digest}.jpg", "ACCEPTED")
    assert named(stack, str(file)) == f"s3://{BUCKET}/incoming/a b-{digest}.jpg"


def test_several_photos_of_one_name_are_listed_and_an_unknown_key_is_none(stack: Stack) -> None:
    for album in ("x", "y"):
        key = f"incoming/{album}/one.jpg"
        put_record(stack, key, "ACCEPTED", recorded_at=timestamp(stack.now()))
    with pytest.raises(UsageError, match=r"incoming/x/one\.jpg, incoming/y/one\.jpg"):
        named(stack, "one.jpg")
    with pytest.raises(CommandError, match="know this photo"):
        named(stack, "incoming/z/one.jpg")


def test_each_version_is_shown_with_its_record_also_without_its_object(stack: Stack) -> None:
    old, new = versions_of(stack, URI)
    assert (old.size, old.record and old.record.outcome) == (3, "LOW_CONFIDENCE")
    assert (new.size, new.record) == (6, None)
    put_record(stack, "incoming/gone.jpg", "REJECTED")
    (gone,) = versions_of(stack, f"s3://{BUCKET}/incoming/gone.jpg")
    assert (gone.size, gone.uploaded_at) == (None, None)


@pytest.mark.usefixtures("stack")
def test_the_command_prints_outcome_and_what_is_missing(scones: Scones) -> None:
    assert scones("show", "a b.jpg") == 0
    for shown in ("2 versions", "LOW_CONFIDENCE bicycle 0.600", "no outcome yet"):
        assert shown in scones.out
    assert scones("show", "a b.jpg", "--json") == 0
    assert [line["record"] and line["record"]["label"] for line in scones.lines] == ["bicycle", None]


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
