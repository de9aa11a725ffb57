"""The state folder: what counts as running."""

import json
import os
from pathlib import Path

import pytest

from localcloud.state import BusyError, Running, StateFolder

URL = "http://127.0.0.1:4566"
RUNNING = Running("127.0.0.1", URL, "http://127.0.0.1:4567", "key", "instance", {"supervisor": 1})


def test_nothing_runs_in_a_new_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "new")
    assert folder.supervisor() is None
    assert folder.load() is None
    assert not (tmp_path / "new").exists(), "looking must not create the folder"


def test_others_see_nothing_of_it(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    (tmp_path / "state").mkdir(0o755)
    folder.save(RUNNING)
    assert folder.access_key() == folder.access_key() != StateFolder(tmp_path).access_key()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder.path, *folder.path.iterdir())}
    assert modes == {"state": 0o700, "state.json": 0o600, "env.sh": 0o600, "access-key": 0o600}


def test_a_state_file_without_a_running_supervisor_does_not_count(tmp_path: Path) -> None:
    """As after a crash or a reboot."""
    folder = StateFolder(tmp_path)
    lock = folder.lock_as_supervisor()
    assert lock is not None
    folder.save(RUNNING)
    assert folder.load() == RUNNING
    assert folder.supervisor() == os.getpid()

    lock.close()

    assert (tmp_path / "state.json").exists()
    assert folder.load() is None
    assert folder.supervisor() is None


def test_two_supervisors_do_not_share_a_folder(tmp_path: Path) -> None:
    lock = StateFolder(tmp_path).lock_as_supervisor()
    assert lock is not None
    assert StateFolder(tmp_path).lock_as_supervisor() is None
    lock.close()


def test_two_commands_do_not_start_the_same_local_cloud(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    with folder.reserved(), pytest.raises(BusyError, match=f"process {os.getpid()}.*{tmp_path}: wait"):
        folder.reserved().__enter__()
    with folder.reserved():
        pass


def test_clear_removes_what_says_that_something_runs(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.save(RUNNING)
    assert json.loads((tmp_path / "state.json").read_text())["aws_url"] == RUNNING.aws_url
    folder.clear()
    folder.clear()
    assert list(tmp_path.iterdir()) == []


def test_old_logs_are_kept_apart_from_new_ones(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    for text in ("first", "second"):
        folder.logs.mkdir()
        (folder.logs / "ministack.log").write_text(text)
        folder.put_old_logs_aside()

    assert not folder.logs.exists()
    assert (tmp_path / "logs.previous" / "ministack.log").read_text() == "second"
