"""Which files become photos under which keys, and how outcomes are judged and shown."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from operations.photos.lines import line, show, succeeded, summary
from operations.photos.sources import Photo, from_archive, in_folder, of_files
from operations.photos.watcher import Outcome, disagreement, plain
from tests.support.tiny_model import cifar100_files, write_archive

RECORD: dict[str, Any] = {
    "outcome": "ACCEPTED",
    "label": "bicycle",
    "confidence": 0.97,
    "execution_arn": "arn:1",
}
EVENT = RECORD | {"error": None}
SUCCEEDED = {"status": "SUCCEEDED"}
GOOD = Outcome("a.jpg", "incoming/a.jpg", "ACCEPTED", "bicycle", 0.97, None, 1.23456)
REJECTED = Outcome("b", "incoming/b", "REJECTED", None, None, "UnsupportedImage: the file is empty", 0.5)


def test_a_folders_files_keep_their_relative_names(tmp_path: Path) -> None:
    for name in ("a b.jpg", "sub/100%41+.png", "sub/überholt.jpg", ".hidden", ".git/config", "empty"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    photos = {photo.name: photo.key for photo in in_folder(tmp_path)}

    assert photos == {
        name: f"incoming/{name}" for name in ("a b.jpg", "sub/100%41+.png", "sub/überholt.jpg", "empty")
    }


def test_files_of_one_name_get_keys_of_their_own() -> None:
    keys = [photo.key for photo in of_files([Path("a/x.jpg"), Path("b/x.jpg"), Path("c/x.jpg"), Path("y")])]
    assert keys == ["incoming/x.jpg", "incoming/x-2.jpg", "incoming/x-3.jpg", "incoming/y"]


@pytest.mark.parametrize(
    ("key", "problem"), [("incoming/fine", ""), ("incoming/\udcff", "UTF-8"), ("i" * 1025, "1024")]
)
def test_names_that_s3_cannot_take_are_told(key: str, problem: str) -> None:
    told = Photo("p", Path("p"), key).problem()
    assert (problem in told) if problem else (told == "")


def test_an_archives_test_images_become_photos(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "cifar.tar.gz", cifar100_files(["red", "green"], train=1, test=10))

    photos = from_archive(archive, tmp_path / "out", 4)

    assert len(photos) == 4
    assert {photo.path.parent.name for photo in photos} == {"red", "green"}
    assert all(photo.path.read_bytes().startswith(b"\x89PNG") for photo in photos)
    assert all(photo.key.startswith("incoming/test-images/") for photo in photos)


def test_places_that_agree_are_no_problem() -> None:
    assert disagreement(RECORD, EVENT, SUCCEEDED) == ""
    rounded = RECORD | {"confidence": 0.97 + 1e-15}
    assert disagreement(rounded, EVENT, SUCCEEDED) == ""


@pytest.mark.parametrize(
    ("record", "event", "execution", "told"),
    [
        (None, EVENT, SUCCEEDED, "NoRecord"),
        (RECORD | {"label": "motorcycle"}, EVENT, SUCCEEDED, "label"),
        (RECORD, EVENT | {"confidence": 0.96}, SUCCEEDED, "confidence"),
        (RECORD, EVENT | {"execution_arn": "arn:2"}, SUCCEEDED, "execution_arn"),
        (RECORD, EVENT, {"status": "FAILED", "error": "X"}, "ended FAILED X"),
        (RECORD | {"outcome": "ODD"}, EVENT | {"outcome": "ODD"}, SUCCEEDED, "ODD"),
    ],
)
def test_places_that_disagree_are_told(
    record: dict[str, Any] | None, event: dict[str, Any], execution: dict[str, Any], told: str
) -> None:
    assert told in disagreement(record, event, execution)


def test_a_rejected_photos_execution_must_end_with_its_error() -> None:
    record = {"outcome": "REJECTED", "error": "ImageTooLarge", "execution_arn": "arn:1"}
    event = record | {"label": None, "confidence": None}
    assert disagreement(record, event, {"status": "FAILED", "error": "ImageTooLarge"}) == ""
    assert disagreement(record, event, {"status": "FAILED", "error": "ObjectTooLarge"})
    assert disagreement(record, event, {"status": "SUCCEEDED"})


def test_items_of_the_table_become_plain_values() -> None:
    assert plain({"a": {"S": "x"}, "b": {"N": "0.85"}}) == {"a": "x", "b": 0.85}


def test_the_json_line_has_the_documented_members() -> None:
    assert list(GOOD.as_json()) == [
        *("file", "s3_key", "outcome", "label", "confidence", "error", "seconds"),
    ]
    assert GOOD.as_json()["seconds"] == 1.235
    assert replace(GOOD, problem="NoRecord: …").as_json()["error"] == "NoRecord: …"


def test_only_failed_lost_or_contradicted_photos_make_a_failure() -> None:
    doubtful = replace(GOOD, outcome="LOW_CONFIDENCE")
    assert succeeded([GOOD, doubtful, REJECTED])
    assert not succeeded([GOOD, replace(GOOD, outcome="FAILED")])
    assert not succeeded([GOOD, replace(GOOD, outcome=None)])
    assert not succeeded([replace(GOOD, problem="Disagreement: …")])


def test_the_summary_counts_every_outcome() -> None:
    counted = summary([GOOD, GOOD, REJECTED], 2.0)
    assert counted == {
        "photos": 3,
        "ACCEPTED": 2,
        "LOW_CONFIDENCE": 0,
        "REJECTED": 1,
        "FAILED": 0,
        "seconds": 2.0,
    }


def test_json_output_is_one_object_a_line_and_the_summary_last(capsys: pytest.CaptureFixture[str]) -> None:
    shown = show(iter([GOOD, replace(REJECTED, file="ä\udcff\n")]), 2, as_json=True)

    *photos, last = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [photo["file"] for photo in photos] == ["a.jpg", "ä\udcff\n"]
    assert last["summary"]["photos"] == len(shown) == 2


def test_a_line_for_people_names_file_outcome_and_error() -> None:
    text = line(REJECTED, colour=False)
    assert text.startswith("REJECTED")
    assert "UnsupportedImage: the file is empty" in text
    assert "\x1b" not in text
    assert "\x1b[32m" in line(GOOD, colour=True)
    assert line(replace(GOOD, problem="NoRecord: x"), colour=False).startswith("PROBLEM")
