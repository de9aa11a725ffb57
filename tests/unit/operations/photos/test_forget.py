"""Photos are forgotten wherever the stack has them, and no other photo is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from operations.photos.labelled import file_name
from operations.results import ResultsTable
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, put_record, upload
from tests.support.commands import Scones

STANDARD = "arn:aws:states:eu-west-1:123456789012:execution:classify:one"
EXPRESS = "arn:aws:states:eu-west-1:123456789012:express:classify:two:x"
TODAY = datetime.now(UTC).isoformat()


@pytest.fixture
def stack(stack: Stack) -> Stack:
    """Return a stack that never saw the labels that its photos were decided with."""
    return replace(stack, outputs={**stack.outputs, "ClassLabels": "van,truck"})


def decided(stack: Stack, key: str, body: bytes = b"photo", execution: str = STANDARD) -> str:
    """Upload a photo that a person decided to be a motorcycle; return its version."""
    version = upload(stack, key, body)
    copy = f"labelled/motorcycle/{file_name(f's3://{BUCKET}/{key}', version)}"
    stack.client("s3").put_object(Bucket=BUCKET, Key=copy, Body=body)
    put_record(stack, key, "ACCEPTED", object_version=version, execution_arn=execution, recorded_at=TODAY)
    return version


def keys(stack: Stack) -> list[str]:
    """Return the keys of all versions and delete markers in the bucket."""
    answer = stack.client("s3").list_object_versions(Bucket=BUCKET)
    return sorted(one["Key"] for one in (*answer.get("Versions", []), *answer.get("DeleteMarkers", [])))


def records(stack: Stack) -> list[str]:
    return sorted(record.key for record in ResultsTable(stack).find())


def test_nothing_of_a_photo_is_left_under_any_label(stack: Stack, scones: Scones) -> None:
    for _ in range(2):
        decided(stack, "incoming/a b.jpg")
    stack.client("s3").delete_object(Bucket=BUCKET, Key="incoming/a b.jpg")
    decided(stack, "incoming/a b.jpg.png")
    others = [key for key in keys(stack) if key.endswith(".png")]
    assert scones("forget", "incoming/a b.jpg", "--yes", "--json") == 0
    assert (keys(stack), records(stack)) == (others, ["incoming/a b.jpg.png"])
    counts = {"versions": 3, "labelled copies": 2, "records": 2}
    assert scones.lines[0] == {"photo": f"s3://{BUCKET}/incoming/a b.jpg", **counts}


def test_what_stays_elsewhere_is_named_with_its_day(stack: Stack, scones: Scones) -> None:
    decided(stack, "incoming/a/standard.jpg")
    decided(stack, "incoming/a/express.jpg", execution=EXPRESS)
    assert scones("forget", "--prefix", "a/", "--yes", "--json") == 0
    history, *others = scones.lines[-1]["stays"]
    ninety = (datetime.now(UTC) + timedelta(days=90)).date().isoformat()
    assert "image_data" in history["what"]
    assert (history["until"], history["executions"]) == (ninety, [STANDARD])
    assert all(one["until"] > TODAY[:10] for one in others)
    assert f"stays until {ninety}: the picture (image_data)" in scones.err
    assert STANDARD in scones.err


def test_a_name_of_two_photos_is_refused_with_both(stack: Stack, scones: Scones) -> None:
    for folder in ("monday", "tuesday"):
        decided(stack, f"incoming/{folder}/003.jpg")
    before = keys(stack)
    assert scones("forget", "003.jpg", "--yes") == 2
    for shown in ("003.jpg means 2 photos", "incoming/monday/003.jpg", "incoming/tuesday/003.jpg"):
        assert shown in scones.err
    assert keys(stack) == before
    assert scones("forget", "monday/003.jpg", "--yes") == 0
    assert records(stack) == ["incoming/tuesday/003.jpg"]
    assert scones("forget", "003.jpg", "--yes") == 0, "now it means one"
    assert keys(stack) == []
    assert scones("forget", "003.jpg") == 1, "and now none"
    assert "003.jpg: neither" in scones.err


def test_without_yes_the_versions_are_listed_and_nothing_is_deleted(stack: Stack, scones: Scones) -> None:
    versions = [decided(stack, "incoming/003.jpg", body) for body in (b"monday", b"tuesday's")]
    before = keys(stack)
    assert scones("forget", "003.jpg") == 2
    for shown in (*versions, "this deletes 1 photo (2 versions)", "--yes"):
        assert shown in scones.err
    assert keys(stack) == before


def test_many_are_forgotten_by_prefix_and_time_after_a_question_with_their_number(
    stack: Stack, scones: Scones
) -> None:
    for name in ("album/1.jpg", "album/2.jpg", "album2/3.jpg"):
        decided(stack, f"incoming/{name}")
    put_record(stack, "incoming/album/gone.jpg", "REJECTED", recorded_at=TODAY)
    assert scones("forget", "--prefix", "incoming/album/") == 2
    assert "this deletes 3 photos (2 versions)" in scones.err
    assert scones("forget", "--prefix", "incoming/album/", "--since", "1h", "--yes") == 0
    assert records(stack) == ["incoming/album2/3.jpg"]
    assert scones("forget", "--since", "1h", "--yes") == 0
    assert keys(stack) == records(stack) == []


def test_since_spares_what_was_uploaded_before(
    stack: Stack, scones: Scones, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided(stack, "incoming/a.jpg")
    monkeypatch.setattr("operations.stack.Stack.now", lambda _: datetime.now(UTC) + timedelta(days=2))
    assert scones("forget", "--since", "1h", "--yes") == 1
    assert len(keys(stack)) == 2


@pytest.mark.parametrize(
    "arguments", [[], ["a.jpg", "--prefix", "b"], ["--prefix", ""], ["a.jpg", "--since", "1h"], [""]]
)
@pytest.mark.usefixtures("stack")
def test_what_to_forget_is_named_in_one_way(arguments: list[str], scones: Scones) -> None:
    assert scones("forget", *arguments, "--yes") == 2
