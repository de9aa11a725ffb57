"""One outcome for each photo, whatever arrives, twice or never."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import boto3
import pytest

from operations.photos.outcome import Outcome
from operations.photos.sources import Photo
from operations.photos.watcher import Watcher
from operations.stack import Stack
from tests.support.aws_stack import deployed_stack, put_record


class Executions:
    """Step Functions: executions by ARN."""

    def __init__(self) -> None:
        self.answers: dict[str, list[dict[str, str]]] = {}

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:  # noqa: N803 - boto3's spelling
        """Answer with the next status; the last one stays."""
        answers = self.answers[executionArn]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Session(boto3.Session):
    """A session whose Step Functions is the one above."""

    executions = Executions()

    def client(self, service: str, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Return the fake for Step Functions, and moto's client for everything else."""
        if service == "stepfunctions":
            return self.executions
        return super().client(service, *args, **kwargs)  # type: ignore[call-overload]


class Listener:
    """Deliver what the application publishes of each upload: by key, execution and outcome in this order."""

    def __init__(self, stack: Stack, ends: Mapping[str, list[tuple[str, str]]]) -> None:
        self._stack = stack
        self._ends = ends
        self._seen: set[str] = set()
        self.late: list[dict[str, Any]] = []

    def receive(self, wait_s: int) -> Iterator[dict[str, Any]]:
        """Record and deliver the outcomes of new uploads."""
        del wait_s
        yield from self.late
        self.late = []
        listed = self._stack.client("s3").list_object_versions(Bucket="photos").get("Versions", [])
        for version in listed:
            if version["Key"] not in self._seen:
                self._seen.add(version["Key"])
                yield from self._process(version["Key"], version["VersionId"])

    def _process(self, key: str, version: str) -> Iterator[dict[str, Any]]:
        for arn, outcome in self._ends.get(key, []):
            facts = {"object_version": version, "execution_arn": arn, "label": "bicycle"}
            put_record(self._stack, key, outcome, **facts)
            yield {"object_uri": f"s3://photos/{key}", "outcome": outcome, **facts}


@pytest.fixture
def stack(aws: None) -> Stack:
    del aws
    real = deployed_stack()
    Session.executions = Executions()
    Session.executions.answers = {"arn:1": [{"status": "SUCCEEDED"}], "arn:2": [{"status": "SUCCEEDED"}]}
    return Stack(real.name, real.outputs, Session())


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    return Photo("a.jpg", tmp_path / "a.jpg", "incoming/a.jpg")


def classify(stack: Stack, listener: Listener, *photos: Photo, timeout_s: float = 5) -> list[Outcome]:
    watcher = Watcher(stack, cast("Any", listener), timeout_s=timeout_s)
    return list(watcher.classify(photos))


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


def test_a_running_execution_is_waited_for(stack: Stack, photo: Photo) -> None:
    statuses = ("RUNNING", "RUNNING", "SUCCEEDED")
    Session.executions.answers["arn:1"] = [{"status": status} for status in statuses]
    (outcome,) = classify(stack, Listener(stack, {photo.key: [("arn:1", "ACCEPTED")]}), photo)
    assert outcome.problem == ""
    assert Session.executions.answers["arn:1"] == [{"status": "SUCCEEDED"}]


def test_the_event_of_the_recorded_execution_is_waited_for(stack: Stack, photo: Photo) -> None:
    class Late(Listener):
        """Delivers the second event one call later."""

        def _process(self, key: str, version: str) -> Iterator[dict[str, Any]]:
            first, second = super()._process(key, version)
            self.late = [second]
            yield first

    late = Late(stack, {photo.key: [("arn:1", "ACCEPTED"), ("arn:2", "ACCEPTED")]})
    (outcome,) = classify(stack, late, photo)
    assert (outcome.outcome, outcome.problem) == ("ACCEPTED", "")


def test_a_photo_that_nothing_is_heard_of_is_a_problem(stack: Stack, photo: Photo) -> None:
    (outcome,) = classify(stack, Listener(stack, {}), photo, timeout_s=0.01)
    assert outcome.outcome is None
    assert "the event never came, and the results table has no record" in outcome.problem


def test_a_recorded_photo_without_an_event_is_a_problem(stack: Stack, photo: Photo) -> None:
    class Mute(Listener):
        """Records, and publishes nothing."""

        def _process(self, key: str, version: str) -> Iterator[dict[str, Any]]:
            list(super()._process(key, version))
            return iter(())

    (outcome,) = classify(stack, Mute(stack, {photo.key: [("arn:1", "ACCEPTED")]}), photo, timeout_s=0.01)
    assert outcome.outcome == "ACCEPTED"
    assert "the event never came, and the results table has ACCEPTED" in outcome.problem


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
