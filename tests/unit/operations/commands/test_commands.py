"""The commands as they are called: what they print, and how they end."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from operations.__main__ import main
from operations.photos.outcome import Outcome
from operations.photos.sources import Photo
from operations.photos.watcher import Watcher
from operations.results import timestamp
from tests.support.aws_stack import create_in_cloudformation, deployed_stack, put_record

pytestmark = pytest.mark.usefixtures("aws")


def test_help_and_mistakes_need_no_sdk() -> None:
    """AWS's SDK takes longer to import than everything else."""
    modules = [f"operations.commands.{name}" for name in ("send", "results", "show", "forget", "load")]
    heavy = "{'boto3', 'numpy', 'tqdm', 'rich'} & set(sys.modules)"
    program = f"import sys, {', '.join(modules)}; print(*{heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_records_are_listed_in_the_order_of_their_time(capsys: pytest.CaptureFixture[str]) -> None:
    create_in_cloudformation()
    stack = deployed_stack()
    put_record(stack, "new.jpg", "ACCEPTED", label="bicycle", confidence=0.97)
    put_record(stack, "old.jpg", "FAILED", error="Busy", recorded_at="2026-11-01T10:00:00.000Z")

    assert main(["results", "--since", "3650d"]) == 0

    captured = capsys.readouterr()
    old, new = captured.out.splitlines()
    assert old.startswith("2026-11-01T10:00:00.000Z  FAILED")
    assert old.endswith("s3://photos/old.jpg  Busy")
    assert "bicycle      0.970  s3://photos/new.jpg" in new
    assert captured.err == "2 records\n"

    put_record(stack, "middle.jpg", "ACCEPTED", recorded_at="2026-11-02T10:00:00.000Z")
    assert main(["results", "--since", "3650d", "--limit", "2", "--json"]) == 0
    shown = [json.loads(text)["object_uri"] for text in capsys.readouterr().out.splitlines()]
    assert shown == ["s3://photos/middle.jpg", "s3://photos/new.jpg"], "the newest, a line each"
    assert main(["results", "--outcome", "accepted", "--since", "1s"]) == 0
    assert capsys.readouterr() == ("", "0 records\n")
    put_record(stack, "now.jpg", "FAILED", recorded_at=timestamp(datetime.now(UTC)))
    assert main(["results", "--outcome", "FAILED", "--limit", "1"]) == 0
    assert capsys.readouterr().err == "1 record of the last 30 days; --since 365d lists more\n"


def test_a_persons_decision_is_listed_as_a_persons(capsys: pytest.CaptureFixture[str]) -> None:
    create_in_cloudformation()
    stack, now = deployed_stack(), timestamp(datetime.now(UTC))
    facts: dict[str, str | float] = {
        "recorded_at": now,
        "confidence": 0.6,
        "model_label": "bicycle",
        "decided_by": "ada",
        "decided_at": now,
    }
    put_record(stack, "a.jpg", "ACCEPTED", label="motorcycle", **facts)
    put_record(stack, "b.jpg", "REJECTED", error="NoVehicle", **facts)
    assert main(["results"]) == 0
    accepted, rejected = capsys.readouterr().out.splitlines()
    assert accepted.endswith(f"motorcycle          s3://photos/a.jpg  decided by ada, {now}")
    assert rejected.endswith(f"neither             s3://photos/b.jpg  decided by ada, {now}")


def test_a_doubtful_photo_without_a_vehicle_is_listed_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    create_in_cloudformation()
    facts: dict[str, str | float] = {"label": "motorcycle", "confidence": 0.501, "neither": 0.98}
    facts["recorded_at"] = timestamp(datetime.now(UTC))
    put_record(deployed_stack(), "cat.jpg", "LOW_CONFIDENCE", **facts)
    assert main(["results"]) == 0
    assert "LOW_CONFIDENCE neither      0.980  s3://photos/cat.jpg" in capsys.readouterr().out


@pytest.fixture
def _application(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the application accept every photo: how outcomes are found is in test_watcher.py."""

    def classify(_: Watcher, photos: Sequence[Photo]) -> Iterator[Outcome]:
        for photo in photos:
            yield Outcome(photo.name, photo.key, "ACCEPTED", "bicycle", 0.9, None, 1)

    monkeypatch.setattr(Watcher, "classify", classify)


JPEG = b"\xff\xd8\xff\xe0"


def album(folder: Path, photos: int) -> Path:
    folder.mkdir()
    for number in range(photos):
        (folder / f"{number:03}.jpg").write_bytes(JPEG)
    return folder


@pytest.mark.usefixtures("_application")
def test_files_and_folders_are_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_in_cloudformation()
    deployed_stack()
    (tmp_path / "one.jpg").touch()

    assert main(["send", str(tmp_path / "one.jpg"), str(album(tmp_path / "album", 2)), "--json"]) == 0

    *photos, last = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [photo["s3_key"] for photo in photos] == [
        *("incoming/one.jpg", "incoming/album/000.jpg", "incoming/album/001.jpg"),
    ]
    assert last["summary"]["ACCEPTED"] == 3


@pytest.mark.usefixtures("_application")
def test_another_photo_under_the_same_key_gets_a_key_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders of two cameras have equal names, too; the same photo sent again keeps its key."""
    create_in_cloudformation()
    put = deployed_stack().client("s3").put_object
    put(Bucket="photos", Key="incoming/DCIM/000.jpg", Body=JPEG)
    put(Bucket="photos", Key="incoming/DCIM/001.jpg", Body=JPEG + b"of another camera")

    assert main(["send", str(album(tmp_path / "DCIM", 3)), "--json"]) == 0

    keys = [json.loads(line)["s3_key"] for line in capsys.readouterr().out.splitlines()[:-1]]
    digest = hashlib.md5(JPEG, usedforsecurity=False).hexdigest()[:8]
    assert keys == [f"incoming/DCIM/{name}.jpg" for name in ("000", f"001-{digest}", "002")]


@pytest.mark.usefixtures("_application")
def test_more_than_200_photos_are_sent_only_if_that_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = str(album(tmp_path / "album", 201))
    assert main(["send", many]) == 2, "before AWS is asked"
    (line,) = capsys.readouterr().err.splitlines()
    assert "this sends 201 photos to incoming/ of the stack scones; give --yes" in line
    create_in_cloudformation()
    deployed_stack()
    assert main(["send", many, "--yes"]) == 0
    assert main(["send", str(album(tmp_path / "some", 200))]) == 0


def test_a_dry_run_lists_photos_and_keys_and_asks_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = album(tmp_path / "album", 201)
    (many / "notes.txt").write_text("no photo")
    assert main(["send", str(many), "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "000.jpg -> incoming/album/000.jpg"
    assert "left out 1 file" in captured.err
    assert captured.err.endswith("nothing was sent: 201 photos\n")
    assert main(["send", str(many), "--dry-run", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[0]) == {"file": "000.jpg", "s3_key": "incoming/album/000.jpg"}


def test_an_empty_folder_is_refused_before_aws_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"python -m operations send: there are no photos in {tmp_path}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["send"], "Missing argument 'FILE|FOLDER...'"),
        (["send", "/no/such/photo.jpg"], "/no/such/photo.jpg"),
        (["send", ""], "an empty path"),
        (["send", ".", "--timeout", "0"], "not a number of seconds above 0"),
        (["results", "--outcome", "GOOD"], "'GOOD' is not one of"),
        (["results", "--since", "yesterday"], "not a time such as 90s, 30m, 24h or 7d"),
        (["results", "--limit", "0"], "0 is not in the range x>=1"),
        (["result"], "Did you mean results"),
    ],
)
def test_wrong_use_is_told_before_aws_is_asked(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


HOSTILE = "incoming/\x1b[31mred\x07\n2026-11-01  ACCEPTED\u202e.jpg"
MILDER = "incoming/\x9b31mred\u202e.jpg"  # without what XML cannot have: moto answers in XML


@pytest.mark.parametrize(
    ("command", "key"),
    [(["results"], HOSTILE), (["redrive", "--dry-run"], HOSTILE), (["show", MILDER], MILDER)],
)
def test_a_hostile_key_is_shown_with_escapes_and_is_whole_in_json(
    command: list[str], key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    create_in_cloudformation()
    put_record(deployed_stack(), key, "FAILED", error="Busy", recorded_at=timestamp(datetime.now(UTC)))

    assert main(command) == 0
    shown = capsys.readouterr().out
    assert key.encode("unicode_escape").decode() in shown
    assert not {"\x1b", "\x07", "\x9b", "\u202e"}.intersection(shown)

    assert main([*command, "--json"]) == 0
    assert json.dumps(key)[1:-1] in capsys.readouterr().out


def test_a_hostile_name_of_a_missing_photo_is_told_with_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    create_in_cloudformation()
    deployed_stack()
    assert main(["show", "\x9b2Jgone.jpg"]) == 1
    assert r"incoming/\x9b2Jgone.jpg: neither" in capsys.readouterr().err


def test_show_says_what_the_model_said_where_a_person_decided(capsys: pytest.CaptureFixture[str]) -> None:
    create_in_cloudformation()
    facts: dict[str, str | float] = {"confidence": 0.6, "threshold": 0.85, "error": "NoVehicle"}
    facts |= {"model_label": "bicycle", "decided_by": "ada", "neither": 0.97}
    put_record(deployed_stack(), "incoming/cat.jpg", "REJECTED", **facts)

    assert main(["show", "cat.jpg"]) == 0

    shown = capsys.readouterr().out
    assert "None 0" not in shown
    assert "\n  REJECTED, recorded" in shown
    assert "the model said: bicycle 0.600 (threshold 0.85)" in shown
    assert "neither: 0.970, the model's probability" in shown


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            ["batch", "--dry-run", "--manifest", "s3://nope-nope/x.csv"],
            "s3://nope-nope/x.csv: there is no such bucket",
        ),
        (
            ["batch", "--dry-run", "--manifest", "s3://photos/nope.csv"],
            "s3://photos/nope.csv: there is no such object",
        ),
        (["report", "--captures", "s3://nope-nope/x"], "s3://nope-nope/x: there is no such bucket"),
        (
            ["report", "--captures", ".", "--baseline", "s3://photos/nope.json"],
            "s3://photos/nope.json: there is no such object",
        ),
    ],
)
def test_what_does_not_exist_is_named(
    command: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    create_in_cloudformation()
    deployed_stack()
    assert main(command) == 2
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("_application")
def test_a_page_of_a_photo_whose_name_is_not_utf_8_is_written(tmp_path: Path) -> None:
    create_in_cloudformation()
    deployed_stack()
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "\udcff.jpg").write_bytes(JPEG)
    assert main(["send", str(tmp_path / "album"), "--page", str(tmp_path / "page.html")]) == 0
    assert r"\udcff.jpg" in (tmp_path / "page.html").read_text()
