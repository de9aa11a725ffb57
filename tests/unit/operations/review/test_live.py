"""The live view on a small stack: counts, latest photos, a photo's trace, and dropping one."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from commandline.errors import UsageError
from operations.executions import Attempts
from operations.photos.pictures import MOST_BYTES
from operations.results import partition, timestamp
from operations.review.live import Live, is_photo
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, put_record, with_workflow
from tests.support.review import put_doubtful

NOW = datetime.now(UTC)


def stamp(minutes: int) -> str:
    return timestamp(NOW - timedelta(minutes=minutes))


@pytest.fixture
def stack(stack: Stack) -> Stack:
    return with_workflow(stack)


def test_counts_are_of_the_last_hour_and_the_newest_come_first(stack: Stack) -> None:
    for minutes, outcome in (
        (1, "ACCEPTED"),
        (2, "REJECTED"),
        (3, "ACCEPTED"),
        (4, "FAILED"),
        (90, "ACCEPTED"),
    ):
        put_record(stack, f"incoming/{minutes}.jpg", outcome, recorded_at=stamp(minutes))
    put_doubtful(stack, "incoming/doubtful.jpg")
    state = Live(stack).state()
    assert state["counts"] == {"ACCEPTED": 2, "LOW_CONFIDENCE": 1, "REJECTED": 1, "FAILED": 1}
    names = [one["key"].removeprefix("incoming/") for one in state["latest"]]
    assert names == ["doubtful.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert (state["waiting"], state["running"]) == (1, 0)


def test_an_answer_is_shared_for_a_moment(stack: Stack) -> None:
    live = Live(stack)
    before = live.state()
    put_record(stack, "incoming/a.jpg", "ACCEPTED", recorded_at=stamp(0))
    assert live.state() == before


def test_the_funnel_has_the_steps_of_the_definition_and_what_is_stuck(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
    states = {"Read": task, "Pause": {"Type": "Wait", "Seconds": 1}, "Blur": task, "Judge": task}
    answer = {"definition": json.dumps({"States": states})}
    monkeypatch.setattr(stack.client("stepfunctions"), "describe_state_machine", lambda **_: answer)
    stuck = [Attempts("Blur", "Busy", 3, since=NOW), Attempts("RecordOutcome", "Throttled", 1, since=NOW)]
    monkeypatch.setattr("operations.review.live.in_progress", lambda _: (7, [Attempts("Judge"), *stuck]))
    for number, outcome in enumerate(["ACCEPTED", "ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED"]):
        put_record(stack, f"incoming/{number}.jpg", outcome, recorded_at=stamp(number))
    state = Live(stack).state()
    shown = [(one["name"], one["entered"], one["stuck"], one["error"]) for one in state["steps"]]
    assert shown == [
        *(("Read", 5, 0, ""), ("Blur", 4, 1, "Busy"), ("Judge", 3, 0, "")),
        ("RecordOutcome", None, 1, "Throttled"),
    ]
    assert (state["running"], state["steps"][1]["since"]) == (7, timestamp(NOW))


def test_an_outcome_lists_what_the_workflow_decided_whatever_a_person_did(stack: Stack) -> None:
    put_record(stack, "incoming/a.jpg", "ACCEPTED", recorded_at=stamp(1))
    place = partition("ACCEPTED", "LOW_CONFIDENCE")
    put_record(stack, "incoming/b.jpg", "ACCEPTED", recorded_at=stamp(2), outcome_day=place, decided_by="ada")
    live = Live(stack)
    assert live.state()["counts"] == {"ACCEPTED": 1, "LOW_CONFIDENCE": 1, "REJECTED": 0, "FAILED": 0}
    listed = [[one["key"] for one in live.state(name)["latest"]] for name in ("", "LOW_CONFIDENCE", "FAILED")]
    assert listed == [["incoming/a.jpg", "incoming/b.jpg"], ["incoming/b.jpg"], []]
    with pytest.raises(UsageError):
        live.state("GOOD")


def test_a_photos_trace_has_its_record(stack: Stack) -> None:
    put_record(stack, "incoming/a b.jpg", "REJECTED", error="UnsupportedImage")
    trace = Live(stack).trace("incoming/a b.jpg", "v1")
    assert (trace["record"]["error"], trace["steps"]) == ("UnsupportedImage", [])
    with pytest.raises(UsageError, match="no record"):
        Live(stack).trace("incoming/other.jpg", "v1")


@pytest.mark.parametrize(
    ("key", "version"), [("runs/1/manifest.jsonl", "1"), ("incoming/a.jpg", ""), ("", "1")]
)
def test_only_versions_of_photos_are_shown(stack: Stack, key: str, version: str) -> None:
    assert is_photo("incoming/a.jpg", "v1")
    assert not is_photo(key, version)
    with pytest.raises(UsageError, match="is no photo"):
        Live(stack).trace(key, version)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        *(("a b.jpg", "-a b.jpg"), ("../../etc/x.jpg", "-x.jpg"), ("C:\\fotos\\y.jpg", "-y.jpg")),
        *(("<b>.jpg", "-<b>.jpg"), ("ü" * 600 + ".jpg", "ü.jpg")),
    ],
)
def test_a_dropped_photo_is_uploaded_under_its_own_name(stack: Stack, name: str, ending: str) -> None:
    key = Live(stack).drop(name, b"photo")
    assert (key.startswith("incoming/dropped/"), key.endswith(ending), key.count("/")) == (True, True, 2)
    assert len(key.encode()) <= 1024
    assert stack.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"photo"


@pytest.mark.parametrize(("name", "body"), [("a.jpg", b""), ("a.jpg", bytes(MOST_BYTES + 1)), ("/", b"1")])
def test_what_cannot_be_a_photo_is_refused(stack: Stack, name: str, body: bytes) -> None:
    with pytest.raises(UsageError):
        Live(stack).drop(name, body)
    assert not stack.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"]


def test_what_is_in_progress_of_an_express_workflow_is_in_its_log(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def line(number: int, kind: str) -> dict[str, str]:
        event = {"id": "1", "type": kind, "event_timestamp": "0", "execution_arn": f"a:express:{number}"}
        return {"message": json.dumps(event)}

    found = {"events": [line(1, "ExecutionStarted"), line(2, "ExecutionStarted"), line(1, "ExecutionFailed")]}
    workflow = {"definition": '{"States": {}}', "type": "EXPRESS"}
    monkeypatch.setattr(stack.client("stepfunctions"), "describe_state_machine", lambda **_: workflow)
    monkeypatch.setattr(stack.client("logs"), "filter_log_events", lambda **_: found)
    assert Live(stack).state()["running"] == 1
