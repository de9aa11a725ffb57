"""Photos are forgotten wherever the stack has them, and no other photo is."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from operations.__main__ import main
from operations.photos.labelled import file_name
from operations.results import ResultsTable
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, create_in_cloudformation, deployed_stack, put_record

STANDARD = "arn:aws:states:eu-west-1:123456789012:execution:classify:one"
EXPRESS = "arn:aws:states:eu-west-1:123456789012:express:classify:two:x"
TODAY = datetime.now(UTC).isoformat()


@pytest.fixture
def stack(aws: None) -> Stack:
    """Return a stack that never saw the labels that its photos were decided with."""
    del aws
    made = deployed_stack()
    made = replace(made, outputs={**made.outputs, "ClassLabels": "van,truck"})
    create_in_cloudformation(dict(made.outputs))
    return made


def upload(stack: Stack, key: str, body: bytes = b"photo", execution: str = STANDARD) -> str:
    """Upload a photo that a person decided to be a motorcycle; return its version."""
    version: str = stack.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"]
    copy = f"labelled/motorcycle/{file_name(f's3://{BUCKET}/{key}', version)}"
    stack.client("s3").put_object(Bucket=BUCKET, Key=copy, Body=body)
    put_record(stack, key, "ACCEPTED", object_version=version, execution_arn=execution, recorded_at=TODAY)
    return version


def keys(stack: Stack) -> list[str]:
    """Return the keys of all versions and delete markers in the bucket."""
    answer = stack.client("s3").list_object_versions(Bucket=BUCKET)
    return sorted(one["Key"] for one in (*answer.get("Versions", []), *answer.get("DeleteMarkers", [])))


def records(stack: Stack) -> list[str]:
    return sorted(record.object_uri for record in ResultsTable(stack).find())


def test_nothing_of_a_photo_is_left_under_any_label(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        upload(stack, "incoming/a b.jpg")
    stack.client("s3").delete_object(Bucket=BUCKET, Key="incoming/a b.jpg")
    upload(stack, "incoming/a b.jpg.png")
    others = [key for key in keys(stack) if key.endswith(".png")]

    assert main(["forget", "incoming/a b.jpg", "--yes", "--json"]) == 0

    assert (keys(stack), records(stack)) == (others, [f"s3://{BUCKET}/incoming/a b.jpg.png"])
    deleted, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert deleted == {
        "photo": f"s3://{BUCKET}/incoming/a b.jpg", "versions": 3, "labelled copies": 2, "records": 2,
    }  # fmt: skip


def test_what_stays_elsewhere_is_named_with_its_day(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    upload(stack, "incoming/a/standard.jpg")
    upload(stack, "incoming/a/express.jpg", execution=EXPRESS)

    assert main(["forget", "--prefix", "a/", "--yes", "--json"]) == 0

    captured = capsys.readouterr()
    *_, last = map(json.loads, captured.out.splitlines())
    history, *others = last["stays"]
    ninety = (datetime.now(UTC) + timedelta(days=90)).date().isoformat()
    assert "image_data" in history["what"]
    assert (history["until"], history["executions"]) == (ninety, [STANDARD])
    assert all(one["until"] > TODAY[:10] for one in others)
    assert f"stays until {ninety}: the picture (image_data)" in captured.err
    assert STANDARD in captured.err


def test_a_name_of_two_photos_is_refused_with_both(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("monday", "tuesday"):
        upload(stack, f"incoming/{folder}/003.jpg")
    before = keys(stack)

    assert main(["forget", "003.jpg", "--yes"]) == 2

    shown = capsys.readouterr().err
    assert "003.jpg means 2 photos" in shown
    for folder in ("monday", "tuesday"):
        assert f"incoming/{folder}/003.jpg" in shown
    assert keys(stack) == before
    assert main(["forget", "monday/003.jpg", "--yes"]) == 0
    assert records(stack) == [f"s3://{BUCKET}/incoming/tuesday/003.jpg"]
    assert main(["forget", "003.jpg", "--yes"]) == 0, "now it means one"
    assert keys(stack) == []


def test_without_yes_the_versions_are_listed_and_nothing_is_deleted(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = [upload(stack, "incoming/003.jpg", body) for body in (b"monday", b"tuesday's")]
    before = keys(stack)

    assert main(["forget", "003.jpg"]) == 2

    shown = capsys.readouterr().err
    assert all(version in shown for version in versions)
    assert "this deletes 1 photo (2 versions)" in shown
    assert "--yes" in shown
    assert keys(stack) == before


def test_many_are_forgotten_by_prefix_and_time_after_a_question_with_their_number(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("album/1.jpg", "album/2.jpg", "album2/3.jpg"):
        upload(stack, f"incoming/{name}")
    put_record(stack, "incoming/album/gone.jpg", "REJECTED", recorded_at=TODAY)
    assert main(["forget", "--prefix", "incoming/album/"]) == 2
    assert "this deletes 3 photos (2 versions)" in capsys.readouterr().err
    assert main(["forget", "--prefix", "incoming/album/", "--since", "1h", "--yes"]) == 0
    assert records(stack) == [f"s3://{BUCKET}/incoming/album2/3.jpg"]
    assert main(["forget", "--since", "1h", "--yes"]) == 0
    assert keys(stack) == records(stack) == []


def test_since_spares_what_was_uploaded_before(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(stack, "incoming/a.jpg")
    late = timedelta(days=2)
    monkeypatch.setattr("operations.stack.Stack.now", lambda _: datetime.now(UTC) + late)
    assert main(["forget", "--since", "1h", "--yes"]) == 1
    assert len(keys(stack)) == 2


@pytest.mark.parametrize(
    "arguments", [[], ["a.jpg", "--prefix", "b"], ["--prefix", ""], ["a.jpg", "--since", "1h"], [""]]
)
def test_what_to_forget_is_named_in_one_way(stack: Stack, arguments: list[str]) -> None:
    del stack
    assert main(["forget", *arguments, "--yes"]) == 2


def test_an_unknown_photo_is_named(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    del stack
    assert main(["forget", "nothing.jpg"]) == 1
    assert "nothing.jpg: neither" in capsys.readouterr().err
