"""The commands where no local cloud runs: what they say, and how they end."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from unittest.mock import Mock

import pytest

from localcloud import lifecycle
from localcloud.__main__ import main
from localcloud.commands import demo
from localcloud.commands.logs import end_of_group
from localcloud.environment import ROOT, Addresses
from localcloud.state import UNSAVED, Running, StateFolder
from operations import checks
from operations.status import Situation
from tests.support.tiny_model import cifar100_files, write_archive

ADDRESSES = Addresses("127.0.0.1", "http://127.0.0.1:1", "http://127.0.0.1:2", "key")
Local = Callable[..., tuple[str, str]]


@pytest.fixture
def local(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Local:
    """Return what runs a command with a state folder and checks its exit code; it returns output, errors."""

    def run(code: int, *arguments: str) -> tuple[str, str]:
        assert main([*arguments, "--state", str(tmp_path / "state")]) == code
        return capsys.readouterr()

    return run


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    kept = StateFolder(tmp_path / "state").kept
    kept.move_to(ADDRESSES)
    return kept.folder


def test_down_says_what_is_kept(local: Local, kept: Path) -> None:
    _, shown = local(0, "down")
    assert f"no local cloud to stop: nothing runs with the state folder {kept.parent}" in shown
    assert f"photos, results and stack are kept for the next start in {kept}" in shown
    assert kept.exists()


def test_what_runs_is_shown_with_the_model_that_serves(
    local: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = checks.ok("model", "mine-1 serves since 10:00:00")
    monkeypatch.setattr(Situation, "model", lambda _: iter([model]))
    outputs = {"PhotoBucketName": "photos", "ResultsTableName": "results"}
    stack = {"name": "scones", "outputs": outputs, "parameters": {}}
    folder = StateFolder(tmp_path / "state")
    with folder.lock_as_supervisor() or pytest.fail("nobody else holds the lock"):
        folder.save(Running(**asdict(ADDRESSES), stack=stack, desk_url="http://127.0.0.1:3/?token=t"))
        shown, _ = local(0, "status")
    assert "\nModel: mine-1 serves since 10:00:00\n" in shown
    assert "http://127.0.0.1:3/live?token=t" in shown


@pytest.mark.parametrize(
    ("services", "says"), [("", "was killed"), ("sqs", "could not save the state of sqs")]
)
def test_down_says_what_is_not_kept(
    local: Local, kept: Path, services: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "stop", lambda _: True)
    (kept / UNSAVED).write_text(services)
    _, shown = local(1, "down")
    assert says in shown


def test_down_waits_as_long_as_something_is_saved(
    local: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = iter([False, False, True])
    monkeypatch.setattr(lifecycle, "_becomes_free", lambda *_: next(busy))
    monkeypatch.setattr(os, "kill", lambda *_: None)
    with StateFolder(tmp_path / "state").lock_as_supervisor() or pytest.fail("nobody else holds the lock"):
        _, shown = local(0, "down")
    assert shown == "  saving what is kept (5 s)\n  saving what is kept (10 s)\nstopped\n"


def test_down_erases_only_if_it_may(local: Local, kept: Path) -> None:
    assert f"erases the photos, results and stack in {kept}; give --yes" in local(2, "down", "--erase")[1]
    assert kept.exists()
    for _ in range(2):
        local(0, "down", "--erase", "--yes")
        assert not kept.exists()


def test_status_of_nothing_is_a_failure_that_says_how_to_start(local: Local, tmp_path: Path) -> None:
    assert "nothing runs" in local(1, "status")[0]
    shown = json.loads(local(1, "status", "--json")[0])
    assert shown == {"running": False, "state": str(tmp_path / "state")}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("demo --photos /no/such", "/no/such"),
        ("demo --photos .", "there are no photos in ."),
        ("demo --timeout -1", "is not a number of seconds above 0"),
        ("demo --limit 0", "0 is not in the range"),
        ("demo --model /no/such", "/no/such"),
        ("up --model /no/such", "/no/such"),
        ("donw", "Did you mean down"),
    ],
)
def test_wrong_use_is_refused_before_anything_starts(
    local: Local, arguments: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    _, shown = local(2, *arguments.split())
    assert says in shown
    assert not (tmp_path / "state").exists()


def test_too_few_open_files_are_named_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "localcloud", "up", "--state", str(tmp_path / "state")]
    limited = ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh", *command]
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "only 64 files may be open at a time" in line
    assert "ulimit -n 512" in line


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EPERM, "not permitted"), "is another user's: name a folder of your own"),
        (OSError(errno.EROFS, "Read-only file system", "build"), "build: Read-only file system"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_named_in_a_line(
    local: Local, error: OSError, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "chmod", Mock(side_effect=error))
    (line,) = local(1, "up")[1].splitlines()
    assert says in line


def test_a_disk_that_is_nearly_full_is_refused_before_anything_starts(
    local: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localcloud.lifecycle.NEEDED_MB", 10**12)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("something was started"))
    _, shown = local(1, "up")
    assert f"python -m localcloud up: {tmp_path}/state has " in shown
    assert "MB free, and the local cloud needs" in shown


def test_the_end_of_each_log_is_shown_and_marked_as_old(local: Local, tmp_path: Path) -> None:
    ended = tmp_path / "state"
    assert local(1, "logs") == (f"there are no logs in the state folder {ended}\n", "")
    files = {"logs/ministack.log": "one\ntwo\nthree\n", "sagemaker/logs/endpoint-e-1.log": "loaded\n"}
    for path, text in files.items():
        (ended / path).parent.mkdir(parents=True)
        (ended / path).write_text(text)
    output, errors = local(0, "logs", "--lines", "2")
    assert output.splitlines() == [
        *(f"==> ministack ({ended}/logs/ministack.log)", "    two", "    three"),
        *(f"==> endpoint-e-1 ({ended}/sagemaker/logs/endpoint-e-1.log)", "    loaded"),
    ]
    assert errors == "nothing runs: these are the logs of the last run\n"
    # A log is found by the beginning of its name, and another is refused.
    assert "ministack" not in local(0, "logs", "endpoint")[0]
    assert "no log 'sagemacher'; there are: ministack, endpoint-e-1" in local(2, "logs", "sagemacher")[1]


def test_of_a_functions_log_the_newest_lines_are_shown() -> None:
    lines = [{"timestamp": 1000 * second, "message": f"line {second}\n"} for second in range(30)]
    asked = Mock()
    asked.describe_log_streams.return_value = {"logStreams": [{"logStreamName": "a"}, {"logStreamName": "b"}]}

    def tail(*, limit: int, logStreamName: str, **_: object) -> dict[str, object]:  # noqa: N803 - boto3's
        return {"events": lines[logStreamName == "b" :: 2][-limit:]}

    asked.get_log_events.side_effect = tail
    assert [line[9:] for line in end_of_group(asked, "g", 3)] == ["line 27", "line 28", "line 29"]


def test_drawings_and_some_test_images_of_an_archive_are_written_again_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(tmp_path / "cifar.tar.gz", cifar100_files(["red", "green"], train=1, test=10))
    monkeypatch.setattr(demo, "find_if_present", lambda _: [archive])
    monkeypatch.setattr(demo, "_ARCHIVE_PHOTOS", 4)
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "of-yesterday.jpg").touch()
    photos = demo.sample_photos(tmp_path / "samples")
    assert not (tmp_path / "samples" / "of-yesterday.jpg").exists()
    assert all(photo.path.is_file() for photo in photos)
    assert {photo.key.split("/")[1] for photo in photos} == {"samples", "test-images"}
    images = [photo for photo in photos if photo.key.startswith("incoming/test-images/")]
    assert len(images) == 4
    assert {photo.path.parent.name for photo in images} == {"red", "green"}
    assert all(photo.path.read_bytes().startswith(b"\x89PNG") for photo in images)
