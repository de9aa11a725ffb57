"""The commands as they are called: what they print, and how they end."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from operations.photos.watcher import Outcome, Watcher
from operations.results import timestamp
from operations.stack import Stack
from tests.support.aws_stack import deployed_stack, put_record
from tests.support.commands import Scones

pytestmark = pytest.mark.usefixtures("aws")


def test_help_and_mistakes_need_no_sdk() -> None:
    """AWS's SDK takes longer to import than everything else."""
    modules = [f"operations.commands.{name}" for name in ("send", "records", "forget", "load")]
    heavy = "{'boto3', 'numpy', 'tqdm', 'rich'} & set(sys.modules)"
    program = f"import sys, {', '.join(modules)}; print(*{heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_records_are_listed_in_the_order_of_their_time(stack: Stack, scones: Scones) -> None:
    put_record(stack, "new.jpg", "ACCEPTED", label="bicycle", confidence=0.97)
    put_record(stack, "old.jpg", "FAILED", error="Busy", recorded_at="2026-11-01T10:00:00.000Z")
    assert scones("results", "--since", "3650d") == 0
    old, new = scones.out.splitlines()
    assert old.startswith("2026-11-01T10:00:00.000Z  FAILED")
    assert old.endswith("s3://photos/old.jpg  Busy")
    assert "bicycle      0.970  s3://photos/new.jpg" in new
    assert scones.err == "2 records\n"
    put_record(stack, "middle.jpg", "ACCEPTED", recorded_at="2026-11-02T10:00:00.000Z")
    assert scones("results", "--since", "3650d", "--limit", "2", "--json") == 0
    shown = [line["object_uri"] for line in scones.lines]
    assert shown == ["s3://photos/middle.jpg", "s3://photos/new.jpg"], "the newest, a line each"
    assert scones("results", "--outcome", "accepted", "--since", "1s") == 0
    assert (scones.out, scones.err) == ("", "0 records\n")
    put_record(stack, "now.jpg", "FAILED", recorded_at=timestamp(datetime.now(UTC)))
    assert scones("results", "--outcome", "FAILED", "--limit", "1") == 0
    assert scones.err == "1 record of the last 30 days; --since 365d lists more\n"


def test_decisions_are_listed_as_a_persons_and_photos_without_a_vehicle_as_such(
    stack: Stack, scones: Scones
) -> None:
    now = timestamp(datetime.now(UTC))
    decided = {"model_label": "bicycle", "decided_by": "ada", "decided_at": now}
    put_record(stack, "a.jpg", "ACCEPTED", label="motorcycle", confidence=0.6, recorded_at=now, **decided)
    put_record(stack, "b.jpg", "REJECTED", error="NoVehicle", confidence=0.6, recorded_at=now, **decided)
    doubtful = {"confidence": 0.501, "neither": 0.98}
    put_record(stack, "cat.jpg", "LOW_CONFIDENCE", label="motorcycle", recorded_at=now, **doubtful)
    assert scones("results") == 0
    lines = [line.removeprefix(f"{now}  ") for line in scones.out.splitlines()]
    assert sorted(lines) == [
        f"ACCEPTED       motorcycle          s3://photos/a.jpg  decided by ada, {now}",
        "LOW_CONFIDENCE neither      0.980  s3://photos/cat.jpg",
        f"REJECTED       neither             s3://photos/b.jpg  decided by ada, {now}",
    ]


@pytest.fixture
def _application(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the application accept every photo: how outcomes are found is in test_watcher.py."""
    end = ("ACCEPTED", "bicycle", 0.9, None, 1)
    monkeypatch.setattr(Watcher, "classify", lambda _, photos: [Outcome(p.name, p.key, *end) for p in photos])


JPEG = b"\xff\xd8\xff\xe0"


def album(folder: Path, photos: int) -> Path:
    folder.mkdir()
    for number in range(photos):
        (folder / f"{number:03}.jpg").write_bytes(JPEG)
    return folder


@pytest.mark.usefixtures("_application", "stack")
def test_files_and_folders_are_sent(tmp_path: Path, scones: Scones) -> None:
    (tmp_path / "one.jpg").touch()
    assert scones("send", str(tmp_path / "one.jpg"), str(album(tmp_path / "album", 2)), "--json") == 0
    *photos, last = scones.lines
    keys = ["incoming/one.jpg", "incoming/album/000.jpg", "incoming/album/001.jpg"]
    assert [photo["s3_key"] for photo in photos] == keys
    assert last["summary"]["ACCEPTED"] == 3


@pytest.mark.usefixtures("_application")
def test_another_photo_under_the_same_key_gets_a_key_of_its_own(
    stack: Stack, tmp_path: Path, scones: Scones
) -> None:
    """Folders of two cameras have equal names, too; the same photo sent again keeps its key."""
    put = stack.client("s3").put_object
    put(Bucket="photos", Key="incoming/DCIM/000.jpg", Body=JPEG)
    put(Bucket="photos", Key="incoming/DCIM/001.jpg", Body=JPEG + b"of another camera")
    assert scones("send", str(album(tmp_path / "DCIM", 3)), "--json") == 0
    digest = hashlib.md5(JPEG, usedforsecurity=False).hexdigest()[:8]
    keys = [f"incoming/DCIM/{name}.jpg" for name in ("000", f"001-{digest}", "002")]
    assert [line["s3_key"] for line in scones.lines[:-1]] == keys


@pytest.mark.usefixtures("_application", "stack")
def test_a_page_of_a_photo_whose_name_is_not_utf_8_is_written(tmp_path: Path, scones: Scones) -> None:
    (album(tmp_path / "album", 0) / "\udcff.jpg").write_bytes(JPEG)
    assert scones("send", str(tmp_path / "album"), "--page", str(tmp_path / "page.html")) == 0
    assert r"\udcff.jpg" in (tmp_path / "page.html").read_text()


@pytest.mark.usefixtures("_application")
def test_more_than_200_photos_are_sent_only_if_that_is_meant(
    tmp_path: Path, scones: Scones, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = str(album(tmp_path / "album", 201))
    assert scones("send", many) == 2, "before AWS is asked"
    (line,) = scones.err.splitlines()
    assert "this sends 201 photos to incoming/ of the stack scones; give --yes" in line
    stack = deployed_stack()
    monkeypatch.setattr("operations.stack.find_stack", lambda *_: stack)
    assert scones("send", many, "--yes") == 0
    assert scones("send", str(album(tmp_path / "some", 200))) == 0


def test_a_dry_run_lists_photos_and_keys_and_asks_nobody(tmp_path: Path, scones: Scones) -> None:
    many = album(tmp_path / "album", 201)
    (many / "notes.txt").write_text("no photo")
    assert scones("send", str(many), "--dry-run") == 0
    assert scones.out.splitlines()[0] == "000.jpg -> incoming/album/000.jpg"
    assert "left out 1 file" in scones.err
    assert scones.err.endswith("nothing was sent: 201 photos\n")
    assert scones("send", str(many), "--dry-run", "--json") == 0
    assert scones.lines[0] == {"file": "000.jpg", "s3_key": "incoming/album/000.jpg"}


def test_an_empty_folder_is_refused_before_aws_is_asked(tmp_path: Path, scones: Scones) -> None:
    assert scones("send", str(tmp_path)) == 2
    assert scones.err == f"python -m operations send: there are no photos in {tmp_path}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["send"], "Missing argument 'FILE|FOLDER...'"),
        (["send", "/no/such/photo.jpg"], "/no/such/photo.jpg"),
        (["send", ""], "an empty path"),
        (["send", ".", "--timeout", "0"], "'0' is not a number of seconds above 0"),
        (["results", "--outcome", "GOOD"], "'GOOD' is not one of"),
        (["results", "--since", "yesterday"], "not a time such as 90s, 30m, 24h or 7d"),
        (["results", "--limit", "0"], "0 is not in the range x>=1"),
        (["result"], "Did you mean results"),
    ],
)
def test_wrong_use_is_told_before_aws_is_asked(arguments: list[str], told: str, scones: Scones) -> None:
    assert scones(*arguments) == 2
    assert told in scones.err


HOSTILE = "incoming/\x1b[31mred\x07\n2026-11-01  ACCEPTED\u202e.jpg"
MILDER = "incoming/\x9b31mred\u202e.jpg"  # without what XML cannot have: moto answers in XML


@pytest.mark.parametrize(
    ("command", "key"),
    [(["results"], HOSTILE), (["redrive", "--dry-run"], HOSTILE), (["show", MILDER], MILDER)],
)
def test_a_hostile_key_is_shown_with_escapes_and_is_whole_in_json(
    stack: Stack, command: list[str], key: str, scones: Scones
) -> None:
    put_record(stack, key, "FAILED", error="Busy", recorded_at=timestamp(datetime.now(UTC)))
    assert scones(*command) == 0
    assert key.encode("unicode_escape").decode() in scones.out
    assert not {"\x1b", "\x07", "\x9b", "\u202e"}.intersection(scones.out)
    assert scones(*command, "--json") == 0
    assert json.dumps(key)[1:-1] in scones.out
    assert scones("show", "\x9b2Jgone.jpg") == 1
    assert r"incoming/\x9b2Jgone.jpg: neither" in scones.err


def test_show_says_what_the_model_said_where_a_person_decided(stack: Stack, scones: Scones) -> None:
    facts: dict[str, str | float] = {"confidence": 0.6, "threshold": 0.85, "error": "NoVehicle"}
    facts |= {"model_label": "bicycle", "decided_by": "ada", "neither": 0.97}
    put_record(stack, "incoming/cat.jpg", "REJECTED", **facts)
    assert scones("show", "cat.jpg") == 0
    assert "None 0" not in scones.out
    assert "\n  REJECTED, recorded" in scones.out
    assert "the model said: bicycle 0.600 (threshold 0.85)" in scones.out
    assert "neither: 0.970, the model's probability" in scones.out


@pytest.mark.parametrize(
    ("command", "uri", "told"),
    [
        ("batch --dry-run --manifest", "s3://nope-nope/x.csv", "bucket"),
        ("batch --dry-run --manifest", "s3://photos/nope.csv", "object"),
        ("report --captures", "s3://nope-nope/x", "bucket"),
        ("report --captures . --baseline", "s3://photos/nope.json", "object"),
    ],
)
@pytest.mark.usefixtures("stack")
def test_what_does_not_exist_is_named(command: str, uri: str, told: str, scones: Scones) -> None:
    assert scones(*command.split(), uri) == 2
    assert f"{uri}: there is no such {told}" in scones.err
