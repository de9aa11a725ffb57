"""One outcome for each photo, whatever arrives, twice or never; and whether all sources agree on it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations.photos.sources import Photo
from operations.photos.watcher import Outcome, Watcher, disagreement
from operations.results import Record
from operations.stack import Stack
from tests.support.aws_stack import put_record

RECORD = Record("s3://b/k", "v1", "ACCEPTED", "bicycle", 0.97, execution_arn="arn:1")
EVENT: dict[str, Any] = {"outcome": "ACCEPTED", "label": "bicycle", "confidence": 0.97, "error": None}
EVENT["execution_arn"] = "arn:1"
SUCCEEDED = {"status": "SUCCEEDED"}
TOO_LARGE = Record("s3://b/k", "v1", "REJECTED", error="ImageTooLarge", execution_arn="arn:1")
NOT_READ = {"outcome": "REJECTED", "error": "ImageTooLarge", "execution_arn": "arn:1"}


@pytest.mark.parametrize(
    ("record", "event", "execution", "told"),
    [
        (RECORD, EVENT, SUCCEEDED, ""),
        (replace(RECORD, confidence=0.97 + 1e-15), EVENT, SUCCEEDED, ""),
        (RECORD, EVENT, None, ""),  # an Express workflow keeps no executions
        (TOO_LARGE, NOT_READ, {"status": "FAILED", "error": "ImageTooLarge"}, ""),
        (None, EVENT, SUCCEEDED, "NoRecord"),
        (replace(RECORD, label="motorcycle"), EVENT, SUCCEEDED, "label"),
        (RECORD, EVENT | {"confidence": 0.96}, SUCCEEDED, "confidence"),
        (RECORD, EVENT | {"execution_arn": "arn:2"}, SUCCEEDED, "execution_arn"),
        (RECORD, EVENT, {"status": "FAILED", "error": "X"}, "ended FAILED X"),
        (replace(RECORD, outcome="ODD"), EVENT | {"outcome": "ODD"}, SUCCEEDED, "ODD"),
        (TOO_LARGE, NOT_READ, {"status": "FAILED", "error": "ObjectTooLarge"}, "ended FAILED ObjectTooLarge"),
        (TOO_LARGE, NOT_READ, SUCCEEDED, "ended SUCCEEDED"),
    ],
)
def test_sources_that_disagree_are_told(
    record: Record | None, event: dict[str, Any], execution: dict[str, Any] | None, told: str
) -> None:
    found = disagreement(record, event, execution)
    assert told in found if told else found == ""


Ends = Mapping[str, list[tuple[str, str]]]


class Listener:
    """Deliver what the application publishes of each upload: by key, execution and outcome in this order.

    A `mute` application publishes nothing; a `late` one its last event one call later.
    """

    def __init__(self, stack: Stack, ends: Ends, *, mute: bool = False, late: bool = False) -> None:
        self._stack, self._ends, self._mute, self._late = stack, ends, mute, late
        self._seen: set[str] = set()
        self._held: list[dict[str, Any]] = []

    def receive(self, wait_s: int) -> Iterator[dict[str, Any]]:
        """Record and deliver the outcomes of new uploads."""
        del wait_s
        yield from self._held
        self._held = []
        listed = self._stack.client("s3").list_object_versions(Bucket="photos").get("Versions", [])
        for version in listed:
            if version["Key"] not in self._seen:
                self._seen.add(version["Key"])
                events = list(self._process(version["Key"], version["VersionId"]))
                self._held = events[-1:] if self._late else []
                yield from events[: len(events) - len(self._held)] if not self._mute else ()

    def _process(self, key: str, version: str) -> Iterator[dict[str, Any]]:
        for arn, outcome in self._ends.get(key, []):
            facts = {"object_version": version, "execution_arn": arn, "label": "bicycle"}
            put_record(self._stack, key, outcome, **facts)
            yield {"object_uri": f"s3://photos/{key}", "outcome": outcome, **facts}


@pytest.fixture
def statuses(stack: Stack) -> dict[str, list[str]]:
    """Return the statuses of the executions, one for each question; the last one stays."""
    left = {"arn:1": ["SUCCEEDED"], "arn:2": ["SUCCEEDED"]}

    def describe_execution(*, executionArn: str) -> dict[str, str]:  # noqa: N803 - boto3's spelling
        answers = left[executionArn]
        return {"status": answers.pop(0) if len(answers) > 1 else answers[0]}

    stack.clients["stepfunctions"] = SimpleNamespace(describe_execution=describe_execution)
    return left


@pytest.fixture
def photo(tmp_path: Path, statuses: dict[str, list[str]]) -> Photo:
    del statuses  # every photo has an execution
    (tmp_path / "a.jpg").write_bytes(b"photo")
    return Photo("a.jpg", tmp_path / "a.jpg", "incoming/a.jpg")


def classify(stack: Stack, listener: Any, *photos: Photo, timeout_s: float = 5) -> list[Outcome]:
    return list(Watcher(stack, listener, timeout_s=timeout_s).classify(photos))


EXPRESS = "arn:aws:states:eu-west-1:1:express:scones:x:y"  # has no execution to ask for


@pytest.mark.parametrize(
    "ends",
    [[("arn:1", "ACCEPTED")], [(EXPRESS, "REJECTED")], [("arn:1", "ACCEPTED"), ("arn:2", "ACCEPTED")]],
    ids=["Standard", "Express", "a duplicate, whose record is the second's"],
)
def test_a_photo_gets_the_outcome_that_all_sources_tell(
    stack: Stack, photo: Photo, ends: list[tuple[str, str]]
) -> None:
    (found,) = classify(stack, Listener(stack, {photo.key: ends}), photo)
    assert (found.outcome, found.label, found.problem) == (ends[0][1], "bicycle", "")


def test_a_running_execution_is_waited_for(
    stack: Stack, photo: Photo, statuses: dict[str, list[str]]
) -> None:
    statuses["arn:1"] = ["RUNNING", "RUNNING", "SUCCEEDED"]
    (outcome,) = classify(stack, Listener(stack, {photo.key: [("arn:1", "ACCEPTED")]}), photo)
    assert (outcome.problem, statuses["arn:1"]) == ("", ["SUCCEEDED"])


def test_the_event_of_the_recorded_execution_is_waited_for(stack: Stack, photo: Photo) -> None:
    late = Listener(stack, {photo.key: [("arn:1", "ACCEPTED"), ("arn:2", "ACCEPTED")]}, late=True)
    (outcome,) = classify(stack, late, photo)
    assert (outcome.outcome, outcome.problem) == ("ACCEPTED", "")


@pytest.mark.parametrize(("outcome", "has"), [(None, "no record"), ("ACCEPTED", "ACCEPTED")])
def test_a_photo_without_an_event_is_a_problem(
    stack: Stack, photo: Photo, outcome: str | None, has: str
) -> None:
    mute = Listener(stack, {photo.key: [("arn:1", outcome)]} if outcome else {}, mute=True)
    (found,) = classify(stack, mute, photo, timeout_s=0.01)
    assert found.outcome == outcome
    assert f"the event never came, and the results table has {has}" in found.problem


def test_photos_that_cannot_be_uploaded_are_told_and_the_others_go_on(
    stack: Stack, photo: Photo, tmp_path: Path
) -> None:
    gone = Photo("gone.jpg", tmp_path / "gone.jpg", "incoming/gone.jpg")
    odd = Photo("odd", photo.path, "incoming/\udcff")
    ends = {photo.key: [("arn:1", "ACCEPTED")]}
    outcomes = {outcome.file: outcome for outcome in classify(stack, Listener(stack, ends), gone, odd, photo)}
    assert "No such file" in outcomes["gone.jpg"].problem
    assert "UnusableName" in outcomes["odd"].problem
    assert outcomes["a.jpg"].outcome == "ACCEPTED"


def test_a_missing_bucket_is_told_for_each_photo(stack: Stack, photo: Photo) -> None:
    elsewhere = Stack(stack.name, {**stack.outputs, "PhotoBucketName": "nowhere"}, stack.session)
    (outcome,) = classify(elsewhere, Listener(stack, {}), photo)
    assert "not uploaded: " in outcome.problem
    assert "NoSuchBucket" in outcome.problem
