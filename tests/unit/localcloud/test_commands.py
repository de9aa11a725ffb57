"""The commands where no local cloud runs: what they say, and how they end."""

import json
import subprocess
from pathlib import Path

import pytest

from localcloud.__main__ import main
from localcloud.environment import Addresses
from localcloud.state import StateFolder

ADDRESSES = Addresses("127.0.0.1", "http://127.0.0.1:1", "http://127.0.0.1:2", "key")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return the folder of a state that was kept by an earlier `down`."""
    kept = StateFolder(tmp_path).kept
    kept.move_to(ADDRESSES)
    return kept.folder


def test_down_says_what_is_kept(tmp_path: Path, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--state", str(tmp_path)]) == 0
    told = capsys.readouterr().err
    assert f"nothing runs with the state folder {tmp_path}" in told
    assert "photos, results and stack are kept" in told
    assert kept.exists()


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
    ("arguments", "told"),
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
def test_wrong_use_is_told_before_anything_starts(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("SCONES_STATE", str(tmp_path / "state"))

    assert main(arguments) == 2

    assert told in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_disk_that_is_nearly_full_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("localcloud.launch.NEEDED_MB", 10**12)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("something was started"))

    assert main(["up", "--state", str(tmp_path / "state")]) == 1

    told = capsys.readouterr().err
    assert f"python -m localcloud up: {tmp_path}/state has " in told
    assert "MB free, and the local cloud needs" in told
