"""The review desk on a small stack: holding, deciding, undoing, auditing."""

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.botocore_stubber import BotocoreStubber

from commandline.errors import CommandError, UsageError
from operations.delivery import CLAIM, Delivery
from operations.photos.forgetting import Forgetter
from operations.photos.labelled import NEITHER, file_name
from operations.redrive import send_to_review
from operations.results import SAMPLE, ResultsTable
from operations.review.decisions import NO_LABEL
from operations.review.desk import (
    AHEAD,
    DRAW_EVERY_S,
    MANY,
    PERIOD,
    Desk,
    NotHeldError,
    bound,
)
from operations.review.queue import HOLD_S
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, TABLE, put_record
from tests.support.review import Faults, copies, events, items, messages, put_doubtful, send


@pytest.fixture
def faults(stack: Stack) -> Faults:
    return Faults(stack)


def audited(stack: Stack) -> tuple[int, int]:
    return ResultsTable(stack).audits(stack.now() - PERIOD)


def desk_of(stack: Stack, reviewer: str = "ada", audit: float = 0.0) -> Desk:
    return Desk(stack, reviewer, audit)


def held_by_a_desk(stack: Stack) -> tuple[Desk, str, str]:
    """Return a desk with a doubtful photo, and the photo's identity and URI."""
    uri, desk = put_doubtful(stack, "incoming/a.jpg"), desk_of(stack)
    return desk, ids(desk)[0], uri


def record(stack: Stack, uri: str) -> dict[str, Any]:
    (found,) = ResultsTable(stack).versions(uri)
    return {name: getattr(found, name) for name in ("outcome", "label", "model_label", "decided_by", "error")}


def debts(stack: Stack) -> list[Any]:
    """Return the debts that anybody may pay once no execution does."""
    return list(Delivery(stack).undelivered(datetime.now(UTC) + CLAIM))


def ids(desk: Desk) -> list[str]:
    return [photo["id"] for photo in desk.waiting()]


def names(desk: Desk) -> list[str]:
    return [photo["key"].removeprefix("incoming/") for photo in desk.waiting()]


MOTORCYCLE = {"outcome": "ACCEPTED", "label": "motorcycle", "error": None}
MOTORCYCLE |= {"model_label": "bicycle", "decided_by": "ada"}


def test_a_decision_is_recorded_published_and_kept(stack: Stack) -> None:
    uri = put_doubtful(stack, "incoming/it's <b>.jpg")
    desk = desk_of(stack)
    (shown,) = desk.waiting()
    assert (shown["key"], shown["label"], shown["confidence"]) == ("incoming/it's <b>.jpg", "bicycle", 0.6)

    assert desk.decide(shown["id"], "motorcycle") == ""

    assert record(stack, uri) == MOTORCYCLE
    (event,) = events(stack)
    assert (event["reviewed"], event["label"], event["object_uri"]) == (True, "motorcycle", uri)
    assert (event["confidence"], event["cause"]) == (0.6, None)
    assert copies(stack) == ["labelled/motorcycle/it's <b>.jpg"]
    labels = ["bicycle", "motorcycle"]
    status = desk.status()
    (answer,) = status.pop("answers")
    assert answer == {**answer, "label": "motorcycle", "photo": shown["id"], "key": shown["key"], "photos": 1}
    assert status == {"decided": 1, "skipped": 0, "waiting": 0, "labels": labels}
    assert desk.waiting() == []
    index = stack.client("dynamodb").scan(TableName=TABLE, IndexName="by-outcome")["Items"]
    assert [item["outcome_day"]["S"].split("#")[0] for item in index] == ["ACCEPTED"]


@pytest.mark.parametrize("queue", ["ReviewQueueUrl", "ReviewDeadLetterQueueUrl"])
@pytest.mark.parametrize("whole", [True, False])
def test_messages_are_events_or_details_in_either_queue(stack: Stack, queue: str, *, whole: bool) -> None:
    put_doubtful(stack, "incoming/a.jpg", messages=0)
    detail = {name: items(stack)[0][name]["S"] for name in ("object_uri", "object_version")}
    send(stack, {"source": "scones", "detail": detail} if whole else detail, queue)
    desk = desk_of(stack)
    (shown,) = desk.waiting()
    assert shown["label"] == "bicycle", "from the record"
    desk.decide(shown["id"], "bicycle")
    assert desk.status()["waiting"] == 0


def test_messages_of_photos_that_need_nobody_any_more_are_dropped(stack: Stack) -> None:
    put_doubtful(stack, "incoming/a.jpg", messages=2)
    forgetter = Forgetter(stack)
    forgetter.forget(*forgetter.named(put_doubtful(stack, "incoming/forgotten.jpg")))
    again = put_doubtful(stack, "incoming/again.jpg")
    (classified,) = ResultsTable(stack).versions(again)
    put_record(stack, "incoming/again.jpg", "ACCEPTED", object_version=classified.object_version)
    desk = desk_of(stack)
    assert names(desk) == ["a.jpg"]
    assert desk.status()["waiting"] == 1, "of two messages of one photo, one is kept"
    desk.decide(ids(desk)[0], "bicycle")
    assert desk.status()["waiting"] == 0


FOREIGN = [
    *("not JSON", "[]", "7", "null", '{"detail": 1}', "[" * 100_000),
    '{"object_uri": "s3://photos/incoming/a.jpg"}',
    '{"object_uri": 1, "object_version": "v"}',
    '{"object_uri": "s3://photos/", "object_version": "v"}',
    '{"object_uri": "s3://other/incoming/a.jpg", "object_version": "v"}',
    '{"object_uri": "s3://photos/incoming/a.jpg", "object_version": ""}',
    '{"object_uri": "s3://photos/incoming/\\ud800.jpg", "object_version": "v"}',
]


def test_foreign_messages_are_left_alone_with_a_warning(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in FOREIGN:
        send(stack, body)
    put_doubtful(stack, "incoming/a.jpg")
    desk = desk_of(stack)
    assert names(desk) == names(desk) == ["a.jpg"]
    assert desk.status()["waiting"] == len(FOREIGN) + 1, "nothing was deleted"
    assert capsys.readouterr().err.count("is left alone: no photo of this stack") == len(FOREIGN)


def test_an_empty_queue_is_asked_by_long_polling(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operations.review.queue.WAIT_S", 1)
    asked: list[int] = []
    receive = "provide-client-params.sqs.ReceiveMessage"
    note = stack.client("sqs").meta.events.register
    note(receive, lambda params, **_: asked.append(params.pop("WaitTimeSeconds")))
    desk_of(stack).waiting()
    assert asked == [1, 1], "review queue and dead letters"


@pytest.mark.parametrize(
    ("call", "again", "outcome"),
    [
        ("CopyObject", "bicycle", "LOW_CONFIDENCE"),
        ("UpdateItem", NEITHER, "ACCEPTED"),
        ("ListObjectVersions", NEITHER, "LOW_CONFIDENCE"),
        *(("PutEvents", "motorcycle", outcome) for outcome in ("LOW_CONFIDENCE", "ACCEPTED")),
        *(("PutEvents", "bicycle", "ACCEPTED"), ("PutEvents", NEITHER, "LOW_CONFIDENCE")),
    ],
)
def test_a_decision_that_failed_can_be_repeated_with_any_label_and_taken_back(
    stack: Stack, faults: Faults, call: str, again: str, outcome: str
) -> None:
    uri = put_doubtful(stack, "incoming/a.jpg", outcome=outcome, confidence=0.97)
    before = items(stack)
    desk = desk_of(stack, audit=1.0)
    held = ids(desk)[0]
    faults.refuse(call)
    with pytest.raises((CommandError, ClientError)):
        desk.decide(held, "motorcycle")
    assert ids(desk) == [held], "it is still on the desk"

    assert desk.decide(held, again) == ""

    expected = {**MOTORCYCLE, "label": again}
    if again == NEITHER:
        expected |= {"outcome": "REJECTED", "label": None, "error": NO_LABEL}
    assert record(stack, uri) == expected
    assert copies(stack) == [f"labelled/{again}/a.jpg"]
    (event,) = events(stack)
    assert (event["label"] or NEITHER, event["model_label"], event["reviewed"]) == (again, "bicycle", True)
    assert not debts(stack), "no debt is left"
    if outcome == "ACCEPTED":
        assert audited(stack) == (1, int(again != "bicycle"))

    assert desk.undo() == ([held], "")
    assert (items(stack), copies(stack)) == (before, [])
    assert audited(stack) == (0, 0)
    (event,) = events(stack)
    assert (event["outcome"], event["label"], event["reviewed"]) == (outcome, "bicycle", False)


def test_a_debt_that_could_not_be_removed_is_paid_once_its_claim_has_expired(
    stack: Stack, faults: Faults
) -> None:
    desk, held, _ = held_by_a_desk(stack)
    once = iter(("UpdateItem",))
    stack.client("events").meta.events.register(
        "before-call.events.PutEvents", lambda **_: faults.refuse(next(once, ""))
    )
    with pytest.raises(ClientError):
        desk.decide(held, "motorcycle")
    (debt,) = items(stack)
    assert not debts(stack), "it is claimed"
    stack.client("dynamodb").put_item(TableName=TABLE, Item=debt | {"claimed_until": {"S": "2026"}})

    (late,) = debts(stack)
    assert Delivery(stack).deliver(late)
    assert not Delivery(stack).deliver(late), "it is paid"

    assert [event["label"] for event in events(stack)] == ["motorcycle"] * 2


@pytest.mark.parametrize("call", ["GetItem", "UpdateItem", "ListObjectVersions", "DeleteObject", "PutEvents"])
def test_an_undo_that_failed_takes_the_same_decision_back(stack: Stack, faults: Faults, call: str) -> None:
    first = put_doubtful(stack, "incoming/first.jpg")
    desk = desk_of(stack)
    desk.decide(ids(desk)[0], "motorcycle")
    second = put_doubtful(stack, "incoming/second.jpg")
    held = ids(desk)[0]
    desk.decide(held, "motorcycle")
    faults.refuse(call)

    problem = ""
    try:
        _, problem = desk.undo()
    except ClientError:
        assert desk.undo() == ([held], "")
    assert problem == "" or ("redrive --missing" in problem and call == "PutEvents")

    assert record(stack, first)["decided_by"] == "ada", "the decision before stays"
    assert record(stack, second)["decided_by"] is None
    assert copies(stack) == ["labelled/motorcycle/first.jpg"]
    assert ids(desk) == [held], "it is on the screen again"
    for debt in debts(stack):
        Delivery(stack).deliver(debt)
    assert [event["reviewed"] for event in events(stack)] == [True, True, False]
    desk.close()
    assert names(desk_of(stack, "grace")) == ["second.jpg"], "its event has put it on the queue"


def test_undo_shows_the_photo_before_all_others_and_once(stack: Stack) -> None:
    for number in range(AHEAD + 2):
        put_doubtful(stack, f"incoming/{number}.jpg")
    desk = desk_of(stack)
    order = ids(desk)
    for held in order[:2]:
        desk.decide(held, "motorcycle")
    desk.waiting()
    assert desk.undo() == ([order[1]], "")
    assert desk.held()[0]["id"] == order[1]
    assert desk.undo() == ([order[0]], "")
    assert ids(desk)[:2] == order[:2]
    assert desk.undo() == ([], "nothing to undo")
    others = desk_of(stack, "grace").waiting()
    assert not {photo["id"] for photo in others} & {*order}, "their new messages are on the queue"
    assert desk.status()["waiting"] == AHEAD + 2


def test_a_decision_that_was_changed_meanwhile_stays(stack: Stack) -> None:
    desk, held, uri = held_by_a_desk(stack)
    desk.decide(held, "motorcycle")
    changed = {**items(stack)[0], "decided_by": {"S": "grace"}}
    stack.client("dynamodb").put_item(TableName=TABLE, Item=changed)
    (undone, problem) = desk.undo()
    assert (undone, "changed after the decision" in problem) == ([], True)
    assert record(stack, uri)["decided_by"] == "grace"
    assert copies(stack) == ["labelled/motorcycle/a.jpg"]
    assert desk.undo() == ([], "nothing to undo"), "and is not asked for again"


def test_a_reclassification_under_a_decision_is_not_lost(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, held, uri = held_by_a_desk(stack)
    write, newer = desk._decisions._write, {**items(stack)[0], "model_version": {"S": "v2"}}  # noqa: SLF001
    newer |= {"execution_arn": {"S": "arn:newer"}, "label": {"S": "motorcycle"}}

    def late(*arguments: Any) -> Any:
        if newer:
            stack.client("dynamodb").put_item(TableName=TABLE, Item=dict(newer))
            newer.clear()
        return write(*arguments)

    monkeypatch.setattr(desk._decisions, "_write", late)  # noqa: SLF001
    desk.decide(held, "bicycle")

    (found,) = ResultsTable(stack).versions(uri)
    assert (found.label, found.model_label, found.model_version) == ("bicycle", "motorcycle", "v2")


def test_a_photo_that_somebody_decided_meanwhile_leaves_the_desk_undecided(stack: Stack) -> None:
    desk, held, uri = held_by_a_desk(stack)
    late = {**items(stack)[0], "decided_by": {"S": "grace"}, "label": {"S": "bicycle"}}
    stack.client("dynamodb").put_item(TableName=TABLE, Item=late)
    stack.client("s3").put_object(
        Bucket=BUCKET, Key=f"labelled/bicycle/{file_name(uri, late['object_version']['S'])}", Body=b"hers"
    )
    problem = desk.decide(held, "motorcycle")
    assert "decided by somebody else" in problem
    assert copies(stack) == ["labelled/bicycle/a.jpg"], "hers"
    assert desk.status()["decided"] == 0
    assert events(stack) == []


def test_a_photo_that_was_deleted_leaves_the_queue(stack: Stack) -> None:
    desk, held, uri = held_by_a_desk(stack)
    (version,) = ResultsTable(stack).versions(uri)
    stack.client("s3").delete_object(Bucket=BUCKET, Key="incoming/a.jpg", VersionId=version.object_version)
    assert "was deleted" in desk.decide(held, "bicycle")
    assert record(stack, uri)["decided_by"] is None
    assert desk.status()["waiting"] == 0


def test_labels_are_those_of_the_stack_now(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, held, _ = held_by_a_desk(stack)
    deployed = replace(stack, outputs={**stack.outputs, "ClassLabels": "van,truck"})
    monkeypatch.setattr("operations.stack.Stack.refreshed", lambda _: deployed)
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + 60)
    for label in ("bicycle", "\ud800", "van,truck", ""):
        with pytest.raises(UsageError, match="van, truck"):
            desk.decide(held, label)
    with pytest.raises(NotHeldError):
        desk.decide("0123456789ab", "van")
    assert desk.status()["labels"] == ["van", "truck"]
    assert desk.decide(held, "van") == ""


def test_a_message_that_cannot_be_deleted_hinders_no_decision(stack: Stack, faults: Faults) -> None:
    desk, held, uri = held_by_a_desk(stack)
    faults.refuse("DeleteMessage")
    assert desk.decide(held, "motorcycle") == ""
    assert record(stack, uri) == MOTORCYCLE
    assert desk.waiting() == []


def put_many(stack: Stack, neither: int, bicycles: int, motorcycles: int) -> None:
    """Put doubtful photos, mixed, of which the model guesses these; of the others it gives no neither."""
    guesses: list[dict[str, Any]] = [{"neither": 0.98}] * neither
    guesses += [{"label": "bicycle", "neither": 0.3}] * bicycles + [{"label": "motorcycle"}] * motorcycles
    random.Random(1).shuffle(guesses)  # noqa: S311
    for number, guess in enumerate(guesses):
        put_doubtful(stack, f"incoming/{number}.jpg", body=b"photo", **guess)


def test_photos_in_which_the_model_sees_no_vehicle_come_together(stack: Stack) -> None:
    put_many(stack, 4, 3, 2)
    photos = desk_of(stack).waiting(MANY)
    assert [photo["kind"] for photo in photos] == [NEITHER] * 4 + ["bicycle"] * 3 + ["motorcycle"] * 2
    assert [photo["neither"] for photo in photos] == [0.98] * 4 + [0.3] * 3 + [None] * 2


def test_120_doubtful_photos_of_which_100_show_no_vehicle_take_at_most_30_keys(stack: Stack) -> None:
    """Twelve at a time, as review.js shows them: those of the first kind, and a key for all of them."""
    put_many(stack, 100, 10, 10)
    desk, keys = desk_of(stack), 1  # g: twelve at a time
    while photos := desk.waiting(MANY):
        shown = [one for one in photos if one["kind"] == photos[0]["kind"]][:12]
        keys += 1
        for one in shown:
            desk.decide(one["id"], one["kind"], answer=str(keys))
    assert desk.status()["decided"] == 120
    assert keys <= 13
    assert Counter(item["outcome"]["S"] for item in items(stack)) == {"REJECTED": 100, "ACCEPTED": 20}


def test_an_answer_for_several_photos_is_taken_back_as_one_also_an_earlier_one(
    stack: Stack, faults: Faults
) -> None:
    put_many(stack, 3, 0, 1)
    desk = desk_of(stack)
    *nothing, motorcycle = ids(desk)
    for name in nothing:
        desk.decide(name, NEITHER, "first")
    desk.decide(motorcycle, "motorcycle", "second")
    shown = [(one["id"], one["label"], one["photos"]) for one in desk.status()["answers"]]
    assert shown == [("second", "motorcycle", 1), ("first", NEITHER, 3)]
    assert desk.photo(nothing[0]), "it is shown beside the answer"

    faults.refuse("UpdateItem", 1)
    with pytest.raises(ClientError):
        desk.undo("first")
    assert desk.undo("first") == (nothing[::-1], "")

    assert ids(desk) == nothing
    assert [one["id"] for one in desk.status()["answers"]] == ["second"]
    assert desk.status()["decided"] == 1
    assert desk.undo("first") == ([], "this answer cannot be taken back any more")


def test_a_skipped_photo_goes_to_somebody_else_and_comes_back_by_undo(stack: Stack) -> None:
    put_doubtful(stack, "incoming/a.jpg")
    desk, other = desk_of(stack), desk_of(stack, "grace")
    (held,) = ids(desk)
    desk.skip(held, "skip")
    assert (desk.status()["skipped"], desk.status()["answers"][0]["label"]) == (1, "")
    assert names(other) == ["a.jpg"]
    undone, problem = desk.undo()
    assert (undone, "on another desk" in problem) == ([], True)
    other.close()
    assert names(desk) == [], "it is not shown again where nobody can tell"
    put_doubtful(stack, "incoming/b.jpg")
    (held,) = ids(desk)
    desk.skip(held)
    assert desk.undo() == ([held], "")
    assert desk.decide(held, "bicycle") == ""


def test_a_skipped_photo_comes_back_last_where_nobody_else_takes_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.review.queue.HOLD_S", 0)  # what is received is visible again at once
    for name in "ab":
        put_doubtful(stack, f"incoming/{name}.jpg")
    desk = desk_of(stack)
    skipped, other = desk.waiting()
    desk.skip(skipped["id"])
    assert ids(desk) == [other["id"]]
    passed = time.monotonic() + HOLD_S
    monkeypatch.setattr(time, "monotonic", lambda: passed)
    assert ids(desk) == [other["id"]], "something else waits"
    assert desk.status()["skipped"] == 1
    desk.decide(other["id"], "bicycle")

    assert ids(desk) == [skipped["id"]]
    assert desk.status()["skipped"] == 0
    put_doubtful(stack, "incoming/c.jpg")
    assert ids(desk)[1:] == [skipped["id"]]
    desk.skip(skipped["id"])
    assert names(desk) == ["c.jpg"]


def test_two_desks_never_hold_the_same_photo(stack: Stack) -> None:
    for number in range(AHEAD + 3):
        put_doubtful(stack, f"incoming/{number}.jpg", messages=2)
    first, second = desk_of(stack, "ada"), desk_of(stack, "grace")
    for _ in range(AHEAD):  # of two messages of a photo, each desk may receive one
        mine, others = set(names(first)), set(names(second))
    assert (len(mine) + len(others), len(mine | others)) == (AHEAD + 3, AHEAD + 3)
    first.close()
    assert len(second.waiting(MANY)) > len(others)


def test_a_photo_is_held_for_as_long_as_the_desk_is_heard_of(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_doubtful(stack, "incoming/a.jpg")
    desk = desk_of(stack)
    held: list[str] = []
    monkeypatch.setattr(desk._queue, "hold", lambda message: held.append(message.photo[0]))  # noqa: SLF001
    start, renewed = time.monotonic(), []
    for passed in (0.0, 1.0, HOLD_S / 2, HOLD_S / 2 + 1, HOLD_S):
        monkeypatch.setattr(time, "monotonic", lambda now=start + passed: now)
        desk.waiting()
        renewed.append(len(held))
    assert renewed == [0, 0, 1, 1, 2], "well before the time is over, and not with every question"
    stack.client("dynamodb").update_item(
        TableName=TABLE,
        Key={name: items(stack)[0][name] for name in ("object_uri", "object_version")},
        UpdateExpression="SET held_by = :other",
        ExpressionAttributeValues={":other": {"S": "grace"}},
    )
    monkeypatch.setattr(time, "monotonic", lambda: start + 2 * HOLD_S)
    assert desk.waiting() == [], "another desk has it by now"


@pytest.fixture
def atomic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let moto answer one request after the other, as DynamoDB does, and threads take turns often."""
    lock, respond, interval = threading.RLock(), BotocoreStubber.__call__, sys.getswitchinterval()

    def locked(self: BotocoreStubber, *arguments: Any, **options: Any) -> Any:
        with lock:
            return respond(self, *arguments, **options)

    monkeypatch.setattr(BotocoreStubber, "__call__", locked)
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.usefixtures("atomic")
def test_redrives_and_desks_at_once_publish_and_show_everything_once(stack: Stack, seed: int) -> None:
    """Each of 50 debts has one event, each doubtful photo one message and one desk."""
    for number in range(50):
        put_doubtful(stack, f"incoming/doubtful/{number}.jpg", body=b"photo")
        outcome, old = "LOW_CONFIDENCE" if number % 2 else "ACCEPTED", "2026-01-01T00:00:00.000Z"
        put_record(stack, f"incoming/debt/{number}.jpg", outcome, recorded_at=old, undelivered="event")
    desks = [desk_of(stack, "ada"), desk_of(stack, "grace")]
    shown: list[set[str]] = [set(), set()]
    decided: list[str] = []

    def redrive(_: int) -> None:
        for debt in Delivery(stack).undelivered(datetime.now(UTC)):
            Delivery(stack).deliver(debt)

    def review(number: int) -> None:
        desk = desks[number]
        for _ in range(4):
            held = desk.waiting(12)
            shown[number] |= {photo["key"] for photo in held}
            for photo in [one for one in held if "/doubtful/" in one["key"]][:2]:
                assert desk.decide(photo["id"], "motorcycle") == ""
                decided.append(photo["key"])
        assert desk.undo()[0]
        decided.remove(desk.held()[0]["key"])

    actors = [(redrive, 0), (review, 0), (redrive, 1), (review, 1)]
    random.Random(seed).shuffle(actors)  # noqa: S311
    with ThreadPoolExecutor(4) as pool:
        for result in [pool.submit(act, number) for act, number in actors]:
            result.result()
    for desk in desks:
        desk.close()

    assert not shown[0] & shown[1]
    published = events(stack)
    late = Counter(event["object_uri"] for event in published if "reviewed" not in event)
    assert late == {f"s3://{BUCKET}/incoming/debt/{number}.jpg": 1 for number in range(50)}
    assert Counter(e.get("reviewed") for e in published) == {None: 50, True: len(decided) + 2, False: 2}
    doubtful = {f"incoming/doubtful/{number}.jpg" for number in range(50)} - {*decided}
    doubtful |= {f"incoming/debt/{number}.jpg" for number in range(1, 50, 2)}
    assert Counter(messages(stack)) == {f"s3://{BUCKET}/{key}": 1 for key in doubtful}
    assert not any("undelivered" in item for item in items(stack))


@pytest.mark.parametrize("name", ["a" * 300, "." + "a" * 300, "a." + "b" * 300, "日" * 200 + ".jpg"])
def test_names_of_labelled_copies_fit_into_a_folder_and_differ(name: str) -> None:
    one, other = (file_name(f"s3://photos/incoming/{name}", version) for version in ("1", "2"))
    assert 200 < len(one.encode()) <= 255
    assert one != other
    assert file_name("s3://photos/incoming/a b.jpg", "1").endswith("-a b.jpg")


def test_a_photo_with_the_longest_key_is_decided_and_forgotten_under_labels_of_then(stack: Stack) -> None:
    key = "incoming/" + "ü" * 505 + ".jpeg"
    assert len(key.encode()) == 1024
    uri = put_doubtful(stack, key)
    desk = desk_of(stack)
    assert desk.decide(ids(desk)[0], "motorcycle") == ""
    desk.undo()
    desk.decide(ids(desk)[0], "bicycle")
    deployed = replace(stack, outputs={**stack.outputs, "ClassLabels": "van,truck"})
    forgetter = Forgetter(deployed)
    forgotten = forgetter.forget(*forgetter.named(uri))
    assert forgotten == {"versions": 1, "labelled copies": 2, "records": 1}
    left = stack.client("s3").list_object_versions(Bucket=BUCKET)
    assert {*left} & {"Versions", "DeleteMarkers"} == set()


def test_accepted_photos_come_up_blind_and_bound_the_error_rate(stack: Stack) -> None:
    for number in range(4):
        put_doubtful(stack, f"incoming/{number}.jpg", outcome="ACCEPTED", confidence=0.97)
    desk = desk_of(stack, audit=1.0)
    for label in ("bicycle", "motorcycle"):
        (shown,) = desk.waiting()
        assert (shown["audit"], "label" in shown, "confidence" in shown) == (True, False, False)
        other = desk_of(stack, "grace", audit=1.0)
        assert ids(other)[0] != shown["id"], "it is on another desk"
        other.close()
        desk.decide(shown["id"], label)
    assert audited(stack) == (2, 1)
    assert "from 2 audited with 1 wrong" in desk.bound()
    assert bound(299, 0).startswith("at most 1.0 % wrong among accepted photos, 95 % sure")


def test_photos_that_are_accepted_later_are_audited_too_and_none_comes_twice(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_of(stack, audit=1.0)
    assert desk.waiting() == []
    for place in ("ACCEPTED", SAMPLE):
        put_doubtful(stack, f"incoming/{place}.jpg", outcome="ACCEPTED", confidence=0.97, outcome_day=place)
    assert desk.waiting() == [], "not with every question"

    start, seen = time.monotonic(), []
    monkeypatch.setattr(time, "monotonic", lambda: start + DRAW_EVERY_S)
    for label in ("bicycle", NEITHER):
        (shown,) = desk.waiting()
        desk.decide(shown["id"], label)
        seen.append(shown["id"])
    assert desk.waiting() == [] != seen
    put_doubtful(stack, "incoming/later.jpg", outcome="ACCEPTED", confidence=0.97)
    monkeypatch.setattr(time, "monotonic", lambda: start + 2 * DRAW_EVERY_S)
    (third,) = desk.waiting()
    assert len({*seen, third["id"]}) == 3
    assert audited(stack) == (2, 1)
    assert desk.bound() == bound(2, 1)


def test_a_hold_of_a_clock_that_was_set_back_is_over(stack: Stack) -> None:
    uri = put_doubtful(stack, "incoming/a.jpg")
    assert names(desk_of(replace(stack, clock=timedelta(hours=50)))) == ["a.jpg"]
    assert list(send_to_review(stack, ResultsTable(stack).versions(uri)))
    assert names(desk_of(stack, "bob")) == ["a.jpg"]
