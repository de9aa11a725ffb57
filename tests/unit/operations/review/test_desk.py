"""The review desk on a small stack: holding, deciding, undoing, auditing."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commandline.errors import CommandError
from operations.delivery import Delivery
from operations.photos.traces import forget
from operations.results import ResultsTable
from operations.review.audit import DRAW_EVERY_S, Audited, audited
from operations.review.decisions import NEITHER, NO_LABEL, file_name
from operations.review.desk import AHEAD, Desk, Settings
from operations.review.queue import HOLD_S
from operations.stack import Stack
from tests.support.aws_stack import put_record, with_workflow
from tests.support.review import events, put_doubtful, review_stack

VERSION_FIELDS = ("outcome", "label", "model_label", "decided_by", "error")


@pytest.fixture
def stack(aws: None) -> Stack:
    del aws
    return review_stack()


def desk_of(stack: Stack, reviewer: str = "ada", audit: float = 0.0) -> Desk:
    return Desk(stack, Settings(reviewer, audit, seed=1))


def record(stack: Stack, uri: str) -> dict[str, Any]:
    (found,) = ResultsTable(stack).versions(uri)
    return {name: getattr(found, name) for name in VERSION_FIELDS}


def test_a_decision_is_recorded_published_and_kept(stack: Stack) -> None:
    uri = put_doubtful(stack, "incoming/it's <b>.jpg")
    desk = desk_of(stack)
    (shown,) = desk.waiting()
    assert (shown["key"], shown["label"], shown["confidence"]) == ("incoming/it's <b>.jpg", "bicycle", 0.6)

    assert desk.decide(shown["id"], "motorcycle") == ""

    assert record(stack, uri) == {
        "outcome": "ACCEPTED",
        "label": "motorcycle",
        "model_label": "bicycle",
        "decided_by": "ada",
        "error": None,
    }
    (event,) = events(stack)
    assert (event["reviewed"], event["label"], event["object_uri"]) == (True, "motorcycle", uri)
    s3 = stack.client("s3")
    (copy,) = s3.list_objects_v2(Bucket="photos", Prefix="labelled/")["Contents"]
    assert copy["Key"].startswith("labelled/motorcycle/")
    assert copy["Key"].endswith("-it's <b>.jpg")
    assert desk.status() == {"decided": 1, "waiting": 0, "can_undo": True}
    assert desk.waiting() == []


def test_messages_of_photos_that_need_nobody_any_more_are_dropped(stack: Stack) -> None:
    uri = put_doubtful(stack, "incoming/a.jpg")
    put_doubtful(stack, "incoming/forgotten.jpg")
    put_doubtful(stack, "incoming/again.jpg")
    desk = desk_of(stack)
    sqs, url = stack.client("sqs"), stack.output("ReviewQueueUrl")
    (record,) = ResultsTable(stack).versions(uri)
    twice = {"object_uri": uri, "object_version": record.object_version}
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(twice))
    forget(stack, "s3://photos/incoming/forgotten.jpg")
    (again,) = ResultsTable(stack).versions("s3://photos/incoming/again.jpg")
    more = {"object_version": again.object_version, "execution_arn": "arn:newer"}
    put_record(stack, "incoming/again.jpg", "ACCEPTED", **more)

    (shown,) = desk.waiting()
    assert shown["key"] == "incoming/a.jpg"
    desk.decide(shown["id"], "bicycle")
    desk.close()

    assert desk_of(stack).waiting() == []


STRANGE = [
    "not JSON",
    "[]",
    "7",
    "null",
    '{"object_uri": "s3://photos/incoming/a.jpg"}',
    '{"object_uri": 1, "object_version": "v"}',
    '{"object_uri": "s3://photos/", "object_version": "v"}',
    '{"object_uri": "s3://other/incoming/a.jpg", "object_version": "v"}',
    '{"object_uri": "s3://photos/incoming/a.jpg", "object_version": ""}',
    '{"object_uri": "s3://photos/incoming/\\ud800.jpg", "object_version": "v"}',
    "[" * 100_000,
]


def test_messages_of_others_are_left_alone_and_told(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    sqs, url = stack.client("sqs"), stack.output("ReviewQueueUrl")
    for body in STRANGE:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    put_doubtful(stack, "incoming/a.jpg")
    desk = desk_of(stack)

    (shown,) = desk.waiting()
    desk.waiting()

    assert shown["key"] == "incoming/a.jpg"
    assert desk.status()["waiting"] == len(STRANGE) + 1, "nothing was deleted"
    assert capsys.readouterr().err.count("is left alone: no photo of this stack") == len(STRANGE)


def test_a_decision_whose_event_is_missing_is_delivered_by_redrive(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_doubtful(stack, "incoming/a.jpg")
    stack = with_workflow(stack)
    desk = desk_of(stack)
    held = desk.waiting()[0]["id"]
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorMessage": "throttled"}]}
    monkeypatch.setattr(desk._decisions._delivery._events, "put_events", lambda **_: refused)  # noqa: SLF001
    with pytest.raises(CommandError, match="not published"):
        desk.decide(held, "bicycle")

    (late,) = Delivery(stack).undelivered(datetime.now(UTC) - timedelta(hours=1))
    Delivery(stack).deliver(late)

    (event,) = events(stack)
    assert (event["reviewed"], event["decided_by"], event["label"]) == (True, "ada", "bicycle")


def test_a_photo_of_neither_is_rejected(stack: Stack) -> None:
    uri = put_doubtful(stack, "incoming/cat.jpg")
    desk = desk_of(stack)
    desk.decide(desk.waiting()[0]["id"], NEITHER)
    found = record(stack, uri)
    assert (found["outcome"], found["error"], found["label"]) == ("REJECTED", NO_LABEL, None)
    listed = stack.client("s3").list_objects_v2(Bucket="photos", Prefix="labelled/other/")
    assert listed["KeyCount"] == 1


def test_a_photo_is_forgotten_with_its_labelled_copy(stack: Stack) -> None:
    uri = put_doubtful(stack, "incoming/a b.jpg")
    desk = desk_of(stack)
    desk.decide(desk.waiting()[0]["id"], NEITHER)

    assert forget(stack, uri) == {"versions": 1, "labelled copies": 1, "records": 1}

    assert "Versions" not in stack.client("s3").list_object_versions(Bucket="photos")


def test_a_photo_with_the_longest_key_is_decided_and_forgotten(stack: Stack) -> None:
    key = "incoming/" + "ü" * 505 + ".jpeg"
    assert len(key.encode()) == 1024
    uri = put_doubtful(stack, key)
    desk = desk_of(stack)
    assert desk.decide(desk.waiting()[0]["id"], "motorcycle") == ""

    (copy,) = stack.client("s3").list_objects_v2(Bucket="photos", Prefix="labelled/")["Contents"]
    name = copy["Key"].rsplit("/", 1)[1]
    assert (len(name.encode()) in {254, 255}, name.endswith("ü.jpeg")) == (True, True)
    assert forget(stack, uri)["labelled copies"] == 1


@pytest.mark.parametrize("name", ["a" * 300, "." + "a" * 300, "a." + "b" * 300, "日" * 200 + ".jpg"])
def test_names_of_labelled_copies_fit_into_a_folder_and_differ(name: str) -> None:
    one, other = (file_name(f"s3://photos/incoming/{name}", version) for version in ("1", "2"))
    assert 200 < len(one.encode()) <= 255
    assert one != other
    assert file_name("s3://photos/incoming/a b.jpg", "1").endswith("-a b.jpg")


def test_the_record_is_listed_under_its_new_outcome(stack: Stack) -> None:
    put_doubtful(stack, "incoming/a.jpg")
    desk = desk_of(stack)
    desk.decide(desk.waiting()[0]["id"], "bicycle")
    index = stack.client("dynamodb").scan(TableName="results", IndexName="by-outcome")["Items"]
    assert [item["outcome_day"]["S"].split("#")[0] for item in index] == ["ACCEPTED"]


def test_undo_restores_record_queue_and_folder_and_says_so(stack: Stack) -> None:
    uri = put_doubtful(stack, "incoming/a.jpg")
    before = stack.client("dynamodb").scan(TableName="results")["Items"]
    desk = desk_of(stack)
    shown = desk.waiting()[0]["id"]
    desk.decide(shown, "motorcycle")

    assert desk.undo() == shown

    assert stack.client("dynamodb").scan(TableName="results")["Items"] == before
    assert stack.client("s3").list_objects_v2(Bucket="photos", Prefix="labelled/")["KeyCount"] == 0
    last = events(stack)[-1]
    assert (last["object_uri"], last["outcome"], last["reviewed"]) == (uri, "LOW_CONFIDENCE", False)
    assert [photo["id"] for photo in desk.waiting()] == [shown]
    assert desk.undo() is None


def test_two_reviewers_never_hold_the_same_photo(stack: Stack) -> None:
    for number in range(AHEAD + 3):
        put_doubtful(stack, f"incoming/{number}.jpg")
    first, second = desk_of(stack, "ada"), desk_of(stack, "grace")
    mine = {photo["id"] for photo in first.waiting()}
    others = {photo["id"] for photo in second.waiting()}
    assert (len(mine), len(others)) == (AHEAD, 3)
    assert mine.isdisjoint(others)
    first.close()
    assert len(second.waiting()) == AHEAD


def test_a_photo_that_somebody_decided_meanwhile_leaves_the_queue_undecided(stack: Stack) -> None:
    uri = put_doubtful(stack, "incoming/a.jpg")
    put_doubtful(stack, "incoming/a.jpg", record=False)  # its message twice, as SQS may deliver it
    first, second = desk_of(stack, "ada"), desk_of(stack, "grace")
    held = first.waiting()[0]["id"]
    put_doubtful(stack, "incoming/a.jpg", record=False)
    (again,) = second.waiting()
    first.decide(held, "bicycle")

    assert "decided by somebody else" in second.decide(again["id"], "motorcycle")

    assert record(stack, uri)["decided_by"] == "ada"
    assert len(events(stack)) == 1


def test_a_photo_is_held_for_as_long_as_the_desk_is_heard_of(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_doubtful(stack, "incoming/a.jpg")
    desk = desk_of(stack)
    held: list[str] = []
    monkeypatch.setattr(desk._queue, "hold", lambda photo: held.append(photo.key))  # noqa: SLF001
    start, renewed = time.monotonic(), []
    for passed in (0.0, 1.0, HOLD_S / 2, HOLD_S / 2 + 1, HOLD_S):
        monkeypatch.setattr(time, "monotonic", lambda now=start + passed: now)
        desk.waiting()
        renewed.append(len(held))
    assert renewed == [0, 0, 1, 1, 2], "well before the time is over, and not with every question"


def test_a_photo_that_was_deleted_leaves_the_queue(stack: Stack) -> None:
    uri = put_doubtful(stack, "incoming/a.jpg")
    desk = desk_of(stack)
    held = desk.waiting()[0]["id"]
    (version,) = ResultsTable(stack).versions(uri)
    stack.client("s3").delete_object(Bucket="photos", Key="incoming/a.jpg", VersionId=version.object_version)
    assert "was deleted" in desk.decide(held, "bicycle")
    assert record(stack, uri)["decided_by"] is None
    assert desk.status()["waiting"] == 0


def test_a_decision_that_was_not_published_can_be_repeated(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = put_doubtful(stack, "incoming/a.jpg")
    desk = desk_of(stack)
    held = desk.waiting()[0]["id"]
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorMessage": "throttled"}]}
    with monkeypatch.context() as patch:
        patch.setattr(desk._decisions._delivery._events, "put_events", lambda **_: refused)  # noqa: SLF001
        with pytest.raises(CommandError, match="decide again: throttled"):
            desk.decide(held, "bicycle")
    assert [photo["id"] for photo in desk.waiting()] == [held], "it is still on the desk"

    assert desk.decide(held, "bicycle") == ""

    assert len(events(stack)) == 1
    assert record(stack, uri)["label"] == "bicycle"


def test_an_unknown_label_is_refused(stack: Stack) -> None:
    put_doubtful(stack, "incoming/a.jpg")
    desk = desk_of(stack)
    with pytest.raises(ValueError, match="bus"):
        desk.decide(desk.waiting()[0]["id"], "bus")
    with pytest.raises(KeyError):
        desk.decide("0123456789ab", "bicycle")


def test_accepted_photos_come_up_blind_and_bound_the_error_rate(stack: Stack) -> None:
    for number in range(4):
        put_doubtful(stack, f"incoming/{number}.jpg", outcome="ACCEPTED", confidence=0.97)
    desk = desk_of(stack, audit=0.5)
    labels = []
    for label in ("bicycle", "motorcycle"):
        (shown,) = desk.waiting()
        assert (shown["audit"], "label" in shown, "confidence" in shown) == (True, False, False)
        desk.decide(shown["id"], label)
        labels.append(label)
    assert desk.waiting() == [], "half of four"
    assert desk.bound() == audited(ResultsTable(stack)) == Audited(2, 1)
    assert "from 2 audited with 1 wrong" in desk.bound().sentence()
    assert Audited(299, 0).sentence().startswith("at most 1.0 % wrong among accepted photos, 95 % sure")


def test_photos_that_are_accepted_later_are_audited_too_and_none_comes_twice(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_of(stack, audit=0.1)
    assert desk.waiting() == []
    for number in range(20):
        put_doubtful(stack, f"incoming/{number}.jpg", outcome="ACCEPTED", confidence=0.97)
    assert desk.waiting() == [], "not with every question"

    start, seen = time.monotonic(), []
    for draws, label in ((1, "bicycle"), (2, NEITHER)):
        monkeypatch.setattr(time, "monotonic", lambda now=start + draws * DRAW_EVERY_S: now)
        (shown,) = desk.waiting()
        desk.decide(shown["id"], label)
        seen.append(shown["id"])
    monkeypatch.setattr(time, "monotonic", lambda: start + 3 * DRAW_EVERY_S)
    assert desk.waiting() == [], "a tenth of twenty, those included that show neither"
    for number in range(20, 30):
        put_doubtful(stack, f"incoming/{number}.jpg", outcome="ACCEPTED", confidence=0.97)
    monkeypatch.setattr(time, "monotonic", lambda: start + 4 * DRAW_EVERY_S)
    (third,) = desk.waiting()
    assert len({*seen, third["id"]}) == 3
    assert desk.bound() == Audited(2, 1)


def test_an_audited_photo_can_be_undone(stack: Stack) -> None:
    put_doubtful(stack, "incoming/a.jpg", outcome="ACCEPTED", confidence=0.97)
    desk = desk_of(stack, audit=1.0)
    shown = desk.waiting()[0]["id"]
    desk.decide(shown, "bicycle")
    assert desk.undo() == shown
    assert [photo["id"] for photo in desk.waiting()] == [shown]
    assert desk.bound() == Audited(0, 0)


def test_the_event_is_json_that_the_workflows_readers_understand(stack: Stack) -> None:
    put_doubtful(stack, "incoming/a.jpg")
    desk = desk_of(stack)
    desk.decide(desk.waiting()[0]["id"], "bicycle")
    (event,) = events(stack)
    published = {"object_uri", "object_version", "outcome", "label", "confidence", "error", "execution_arn"}
    assert set(event) >= published
    assert isinstance(event["confidence"], float)
    json.dumps(event)
