"""The commands where no local cloud runs: what they say, and how they end."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from localcloud import lifecycle
from localcloud.__main__ import main
from localcloud.environment import ROOT, Addresses
from localcloud.state import UNSAVED, Running, StateFolder
from operations import checks
from operations.status import Situation

ADDRESSES = Addresses("127.0.0.1", "http://127.0.0.1:1", "http://127.0.0.1:2", "key")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return the folder of a state that was kept by an earlier `down`."""
    kept = StateFolder(tmp_path).kept
    kept.move_to(ADDRESSES)
    return kept.folder


def test_down_says_what_is_kept(tmp_path: Path, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--state", str(tmp_path)]) == 0
    shown = capsys.readouterr().err
    assert f"no local cloud to stop: nothing runs with the state folder {tmp_path}" in shown
    assert f"photos, results and stack are kept for the next start in {kept}" in shown
    assert kept.exists()


def test_what_runs_is_shown_with_the_model_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = checks.ok("model", "mine-1 serves since 10:00:00")
    monkeypatch.setattr(Situation, "model", lambda _: iter([model]))
    outputs = {"PhotoBucketName": "photos", "ResultsTableName": "results"}
    stack = {"name": "scones", "outputs": outputs, "parameters": {}}
    folder = StateFolder(tmp_path)
    with folder.lock_as_supervisor() or pytest.fail("nobody else holds the lock"):
        folder.save(Running(**asdict(ADDRESSES), stack=stack, desk_url="http://127.0.0.1:3/?token=t"))
        assert main(["status", "--state", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "\nModel: mine-1 serves since 10:00:00\n" in shown
    assert "http://127.0.0.1:3/live?token=t" in shown


@pytest.mark.parametrize(
    ("services", "says"), [("", "was killed"), ("sqs", "could not save the state of sqs")]
)
def test_down_says_what_is_not_kept(
    kept: Path, services: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lifecycle, "stop", lambda _: True)
    (kept / UNSAVED).write_text(services)
    assert main(["down", "--state", str(kept.parent)]) == 1
    assert says in capsys.readouterr().err


def test_down_waits_as_long_as_something_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = iter([False, False, True])
    monkeypatch.setattr(lifecycle, "_becomes_free", lambda *_: next(busy))
    monkeypatch.setattr(os, "kill", lambda *_: None)
    with StateFolder(tmp_path).lock_as_supervisor() or pytest.fail("nobody else holds the lock"):
        assert main(["down", "--state", str(tmp_path)]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "  saving what is kept (5 s)",
        "  saving what is kept (10 s)",
        "stopped",
    ]


def test_down_erases_only_if_it_may(tmp_path: Path, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--erase", "--state", str(tmp_path)]) == 2
    assert f"erases the photos, results and stack in {kept}; give --yes" in capsys.readouterr().err
    assert kept.exists()

    assert main(["down", "--erase", "--yes", "--state", str(tmp_path)]) == 0
    assert not kept.exists()


def test_status_of_nothing_is_a_failure_that_says_how_to_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--state", str(tmp_path)]) == 1
    assert "nothing runs" in capsys.readouterr().out
    assert main(["status", "--json", "--state", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().out) == {"running": False, "state": str(tmp_path)}


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["demo", "--photos", "/no/such"], "/no/such"),
        (["demo", "--photos", "."], "there are no photos in ."),
        (["demo", "--data", "/no/such.tar.gz"], "/no/such.tar.gz"),
        (["demo", "--timeout", "-1"], "not a number of seconds above 0"),
        (["demo", "--limit", "0"], "0 is not in the range"),
        (["demo", "--model", "/no/such"], "/no/such"),
        (["up", "--model", "/no/such"], "/no/such"),
        (["donw"], "Did you mean down"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_refused_before_anything_starts(
    arguments: list[str],
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("SCONES_STATE", str(tmp_path / "state"))

    assert main(arguments) == 2

    assert shown in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_too_few_open_files_are_named_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "localcloud", "up", "--state", str(tmp_path / "state")]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "only 64 files may be open at a time" in line
    assert "ulimit -n 512" in line


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            PermissionError(errno.EPERM, "Operation not permitted"),
            "is another user's: name a folder of your own",
        ),
        (OSError(errno.EROFS, "Read-only file system", "build"), "build: Read-only file system"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_named_in_a_line(
    tmp_path: Path,
    error: OSError,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "chmod", refuse)
    assert main(["up", "--state", str(tmp_path / "state")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_disk_that_is_nearly_full_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("localcloud.lifecycle.NEEDED_MB", 10**12)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("something was started"))

    assert main(["up", "--state", str(tmp_path / "state")]) == 1

    shown = capsys.readouterr().err
    assert f"python -m localcloud up: {tmp_path}/state has " in shown
    assert "MB free, and the local cloud needs" in shown
